package relyingparty

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"certportal/internal/test/daemon"
)

// Nginx starts nginx. It accepts the handshake and refuses the request, with the reason in
// the response. It identifies people by the subject of the certificate.
func Nginx(t testing.TB, c Config) *Server {
	t.Helper()
	s := prepare(t, "nginx", "nginx", c)
	s.reload = syscall.SIGHUP
	s.write(configFile, s.nginxConfig())
	return s.run(exec.Command(daemon.Program("nginx"), "-p", s.folder, "-e", s.file(logFile), "-c", s.file(configFile)))
}

func (s *Server) nginxConfig() string {
	var checks strings.Builder
	if s.c.Lists != "" {
		fmt.Fprintf(&checks, "ssl_crl %s;\n", s.file(listFile))
	}
	if s.c.Online {
		checks.WriteString("ssl_ocsp leaf;\n")
	}
	var folders strings.Builder
	for _, of := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&folders, "%s_temp_path %s;\n", of, s.file(of))
	}
	// 495 is nginx's own status for a certificate it does not accept, 496 for none.
	return fmt.Sprintf(`daemon off;
worker_processes 1;
pid %s;
error_log %s info;
events {}
http {
access_log off;
%sserver {
listen %s ssl;
ssl_protocols TLSv1.2 TLSv1.3;
ssl_certificate %s;
ssl_certificate_key %s;
ssl_client_certificate %s;
ssl_verify_client on;
ssl_verify_depth 2;
%serror_page 495 496 = @refused;
location / { add_header %s $ssl_client_s_dn; return 200; }
location @refused { return 403 $ssl_client_verify; }
}
}
`, s.file("pid"), s.file(logFile), folders.String(), s.address(), s.c.Certificate, s.c.Key, s.file(caFile), checks.String(), personHeader)
}
