"""What the sink costs the thread that everything waits for, and what it costs at all.

Three runs, and the two processes that they look at:

    main_thread.py     microseconds of the main thread for one record, against serialising it and nothing else
    instructions.py    the same in instructions, which no other process disturbs, with bounds for CI
    scale.py           a million tables: memory over time, and what the ceiling is
    record_child.py    the process that `main_thread` and `instructions` look at
    scale_child.py     the process that `scale` looks at
"""
