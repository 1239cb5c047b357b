package relyingparty

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"certportal/internal/test/daemon"
)

// apacheModules is the folder of the modules on Debian.
const apacheModules = "/usr/lib/apache2/modules"

// Apache starts httpd with mod_ssl. It refuses clients in the handshake, and identifies
// people by the UPN in the certificate.
func Apache(t testing.TB, c Config) *Server {
	t.Helper()
	s := prepare(t, "Apache", "apache2", c)
	s.reload = syscall.SIGUSR1
	s.write(configFile, s.apacheConfig())
	return s.run(exec.Command(daemon.Program("apache2"), "-d", s.folder, "-f", s.file(configFile), "-DFOREGROUND"))
}

func (s *Server) apacheConfig() string {
	var b strings.Builder
	for _, m := range []string{"mpm_event", "authz_core", "headers", "socache_shmcb", "ssl", "status"} {
		fmt.Fprintf(&b, "LoadModule %s_module %s/mod_%s.so\n", m, apacheModules, m)
	}
	if os.Getuid() == 0 {
		// It does not run as root, so it needs readable files.
		b.WriteString("User nobody\nGroup nogroup\n")
	}
	fmt.Fprintf(&b, `ServerName localhost
Listen %s
PidFile %s
DefaultRuntimeDir %s
ErrorLog %s
LogLevel warn ssl:info
StartServers 1
SSLEngine on
SSLCertificateFile %s
SSLCertificateKeyFile %s
SSLCACertificateFile %s
SSLVerifyClient require
SSLVerifyDepth %d
SSLUserName SSL_CLIENT_SAN_OTHER_msUPN_0
`, s.address(), s.file("pid"), s.folder, s.file(logFile), s.c.Certificate, s.c.Key, s.file(caFile), s.c.Depth)
	if s.c.Lists != "" {
		fmt.Fprintf(&b, "SSLCARevocationFile %s\nSSLCARevocationCheck chain\n", s.file(listFile))
	}
	if s.c.Online {
		b.WriteString("SSLOCSPEnable leaf\n")
	}
	// A page without a file, so that no file permission matters.
	fmt.Fprintf(&b, "DocumentRoot /\n<Location />\nSetHandler server-status\nHeader set %s expr=%%{REMOTE_USER}\n</Location>\n", personHeader)
	return b.String()
}
