//! HAProxy's SPOE and SPOP: codec, sans-IO connection, the proxy's engine, and a library to write agents with.
