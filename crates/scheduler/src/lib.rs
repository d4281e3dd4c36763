//! A cooperative scheduler in HAProxy's manner: tasks and tasklets, classes, nice, timers; reads no clock and never parks.
