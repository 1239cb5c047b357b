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
	return s.run(s.nginxCommand())
}

// Forward starts nginx as a reverse proxy with location blocks on plain http, and returns
// its URL.
func Forward(t testing.TB, locations string) string {
	t.Helper()
	s := prepare(t, "nginx", "nginx", Config{})
	return "http://" + s.forward(fmt.Sprintf("listen %s;\n%s\nlocation / { return 404; }\n", s.address(), locations))
}

// ForwardTLS starts nginx as a reverse proxy that ends TLS with the certificate of the
// configuration, with the lines of a server, and returns its URL.
func ForwardTLS(t testing.TB, c Config, lines string) string {
	t.Helper()
	s := prepare(t, "nginx", "nginx", c)
	return "https://" + s.forward(fmt.Sprintf("listen %s ssl;\nssl_certificate %s;\nssl_certificate_key %s;\n%s\n", s.address(), c.Certificate, c.Key, lines))
}

// forward starts nginx with a server, and returns its address.
func (s *Server) forward(server string) string {
	t := s.t
	t.Helper()
	s.write(configFile, fmt.Sprintf("%shttp {\naccess_log off;\n%sserver {\n%s}\n}\n", s.nginxFrame(), s.nginxFolders(), server))
	s.runUntil(s.nginxCommand(), s.listens)
	return s.address()
}

func (s *Server) nginxCommand() *exec.Cmd {
	return exec.Command(daemon.Program("nginx"), "-p", s.folder, "-e", s.file(logFile), "-c", s.file(configFile))
}

// nginxFrame is what any configuration begins with.
func (s *Server) nginxFrame() string {
	return fmt.Sprintf("daemon off;\nworker_processes 1;\npid %s;\nerror_log %s info;\nevents {}\n", s.file("pid"), s.file(logFile))
}

// nginxFolders keeps the folders for temporary files out of /var/lib.
func (s *Server) nginxFolders() string {
	var folders strings.Builder
	for _, of := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&folders, "%s_temp_path %s;\n", of, s.file(of))
	}
	return folders.String()
}

func (s *Server) nginxConfig() string {
	var checks strings.Builder
	if s.c.Lists != "" {
		fmt.Fprintf(&checks, "ssl_crl %s;\n", s.file(listFile))
	}
	if s.c.Online {
		checks.WriteString("ssl_ocsp leaf;\n")
	}
	// 495 is nginx's own status for a certificate it does not accept, 496 for none.
	return s.nginxFrame() + fmt.Sprintf(`http {
access_log off;
%sserver {
listen %s ssl;
ssl_protocols TLSv1.2 TLSv1.3;
ssl_certificate %s;
ssl_certificate_key %s;
ssl_client_certificate %s;
ssl_verify_client on;
ssl_verify_depth %d;
%serror_page 495 496 = @refused;
location / { add_header %s $ssl_client_s_dn; return 200; }
location @refused { return 403 $ssl_client_verify; }
}
}
`, s.nginxFolders(), s.address(), s.c.Certificate, s.c.Key, s.file(caFile), s.c.Depth, checks.String(), personHeader)
}
