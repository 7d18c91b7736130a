"""`openmetadata-bulksink doctor --canary`: whether both sinks leave the same catalogue on the user's own server.

    catalogue.py     what is written, in stages, as plain data
    source.py        upstream's `Source` that yields it to a real workflow
    side.py          one sink: a fresh process that forks for each workflow
    side_child.py    the program of that process
    asking.py        one request, and its answer as it came
    services.py      the services that are made, and that all of them go again
    reading.py       what is on the server, as comparable data
    expected.py      what should be there, by what was sent so far
    comparison.py    what differs between the two, and from what was sent
    facts.py         what this server does
    speed.py         microseconds a row by number of workers, and what to set
    probes.py        largest body and idle time-out, where asked for
    examination.py   all of it in order; the verdict
    page.py          the page for people, and the JSON for a report
    command.py       asks first, runs it, prints

What decides (catalogue, expected, comparison, page) has no I/O. Nothing is written outside of services that begin with
`NAME`.
"""

#: How the name of each service begins that is made here.
NAME = "bulksink_canary_"
