"""A camera: streams an H.264 clip over RTSP, to each client from its first picture.

    rtsp_server.py                  check that all that is needed is installed
    rtsp_server.py PORT FILE.mp4    serve rtsp://127.0.0.1:PORT/cam
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer

Gst.init(None)
for element in ("qtdemux", "h264parse", "rtph264pay"):
    if not Gst.ElementFactory.find(element):
        sys.exit(f"GStreamer lacks {element}")
if len(sys.argv) == 1:
    sys.exit()
port, file = sys.argv[1:]
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    f'( filesrc location="{file}" ! qtdemux ! h264parse'
    " ! rtph264pay name=pay0 config-interval=1 )"
)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(port)
server.get_mount_points().add_factory("/cam", factory)
if not server.attach(None):
    sys.exit(f"could not listen on port {port} of 127.0.0.1")
GLib.MainLoop().run()
