//! The client library of tinykv.
