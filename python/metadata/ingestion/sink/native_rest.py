"""The sink type `native-rest` of a workflow's YAML: openmetadata-bulksink without its start-up hook.

Upstream finds sinks by module name inside its own package; this folder is open for that (it has no `__init__.py`).
"""

from openmetadata_bulksink.activate import native_rest_sink

NativeRestSink = native_rest_sink()
