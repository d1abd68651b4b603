//! The server of tinykv: front doors, thread pools, configuration, metrics.
