package radius

import (
	"fmt"
	"path/filepath"

	"certportal/internal/test/daemon"
)

// config is the whole configuration of the server. The site "certificate" runs after the
// handshake: it compares the name that the client states with the UPN in the certificate.
func (s *Server) config(own daemon.Files) string {
	folder := func(name string) string { return filepath.Join(s.folder, name) }
	return fmt.Sprintf(`prefix = /usr
logdir = %[1]s
run_dir = %[1]s
pidfile = %[1]s/pid
libdir = /usr/lib/freeradius
max_request_time = 10
log {
destination = stdout
auth = yes
}
client tests {
ipaddr = 127.0.0.1
secret = %[2]s
}
modules {
eap {
default_eap_type = tls
tls-config common {
private_key_file = %[3]s
certificate_file = %[4]s
ca_path = %[5]s
check_crl = yes
tls_min_version = "1.2"
tls_max_version = "1.2"
ecdh_curve = ""
}
tls {
tls = common
virtual_server = certificate
}
}
expr {
}
always reject {
rcode = reject
}
}
server wireless {
listen {
type = auth
ipaddr = 127.0.0.1
port = %[6]d
}
authorize {
eap
}
authenticate {
eap
}
}
server certificate {
authorize {
if ("%%{tolower:%%{User-Name}}" == "%%{tolower:%%{TLS-Client-Cert-Subject-Alt-Name-Upn}}") {
update config {
&Auth-Type := Accept
}
}
else {
update config {
&Auth-Type := Reject
}
update reply {
&Reply-Message := "certificate of another person"
}
}
}
}
`, s.folder, secret, own.Key, own.Certificate, folder(authorityFolder), s.port)
}
