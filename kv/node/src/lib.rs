//! A store without sockets, threads or clocks.
