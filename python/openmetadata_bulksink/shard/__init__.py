"""One ingestion as many: `openmetadata-bulksink shard plan | open | run | close | all`.

A plan says which schemas go into which shard; each shard runs the user's own workflow with filters put in; what one run
would have deleted is set aside by the shards and deleted at the end, once all of them ended well. No coordinator: plain
commands, one JSON document for the plan and one for each result.

Without I/O, each with unit tests:
    names.py        names that filters cannot tell apart; the pattern for a set of names
    packing.py      schemas into shards, longest first
    documents.py    JSON documents with a checksum, and what may stand in them
    plan.py         the plan as a value and as JSON
    fingerprint.py  what of a workflow file must not change between plan and close
    filters.py      the user's workflow, as planned, opened, run by a shard, closed
    results.py      what a shard reports, and which reports are acceptable
    threshold.py    the success threshold, over all shards
    deletion.py     what may be deleted, and the limit
    folder.py       where documents are kept, and the commands that go on with them
    keys.py         foreign keys between shards, and what is marked where close completes them

With I/O:
    workflow.py     one upstream workflow in this process, its deletions set aside
    watermark.py    whether incremental extraction may start from a pipeline's last success
    unread.py       what its source could not read
    again.py        what shards found stale, looked for once more
    listing.py      databases, schemas and sizes, by upstream's own connector
    catalogue.py    what close asks of the server, and deletes there
    children.py     a function in a forked process, its progress and its end
    reports.py      a report for each step, where reports are wanted
    display.py      one progress display for all shards
    commands.py     plan and open; documents
    closing.py      close
    running.py      shards on this machine, each database in a child
    whole.py        all of it on this machine
    arguments.py    the command line
"""
