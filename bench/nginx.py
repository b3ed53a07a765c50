"""nginx as a logging reverse proxy: one worker, kept-alive connections to the upstream, an access log in JSON."""

import os
import pwd
from pathlib import Path

_CONFIG = """\
{user}
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
events {{ worker_connections 4096; }}
http {{
    log_format calls escape=json '{{"time":"$time_iso8601","id":"$request_id","client":"$remote_addr",'
        '"method":"$request_method","uri":"$request_uri","status":$status,"sent":$bytes_sent,'
        '"duration":$request_time,"upstream":"$upstream_addr","upstream_duration":"$upstream_response_time",'
        '"first_byte":"$upstream_header_time","agent":"$http_user_agent"}}';
    access_log {directory}/access.log calls;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    keepalive_requests 1000000000;
    # Bodies of this benchmark stay in memory.
    client_body_buffer_size 1m;
    client_max_body_size 0;
    upstream provider {{
        server 127.0.0.1:{upstream_port};
        keepalive 256;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://provider;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_read_timeout 600s;
        }}
    }}
}}
"""


def configure(directory: Path, *, port: int, upstream_port: int) -> Path:
    """Write the configuration, with everything that nginx writes in ``directory``; its path."""
    # Started by root, its worker would be somebody who may not enter the directory.
    user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
    path = directory / "nginx.conf"
    path.write_text(_CONFIG.format(user=user, directory=directory, port=port, upstream_port=upstream_port))
    return path
