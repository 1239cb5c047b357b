package relyingparty

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"certportal/internal/test/daemon"
)

// FrontEnd is how a server plays the front end of Exchange.
type FrontEnd struct {
	Config

	// Protocols are those of SSLProtocol and ssl_protocols, such as "TLSv1.2".
	Protocols string

	// Late asks for the certificate after the request, for the folder of ActiveSync only.
	// Apache only.
	Late bool

	// Verify is "require", or "optional" for passwords beside certificates.
	Verify string

	// Owner is the UPN that has a mailbox; others are asked for a password with 401, as IIS
	// does when it finds no account. Apache only.
	Owner string
}

// ApacheExchange starts Apache as the front end of Exchange.
func ApacheExchange(t testing.TB, c FrontEnd) *Server {
	t.Helper()
	s := prepare(t, "Apache", "apache2", c.Config)
	s.write(configFile, s.apacheExchange(c))
	return s.runUntil(exec.Command(daemon.Program("apache2"), "-d", s.folder, "-f", s.file(configFile), "-DFOREGROUND"), s.listens)
}

// NginxExchange starts nginx in front of Exchange.
func NginxExchange(t testing.TB, c FrontEnd) *Server {
	t.Helper()
	s := prepare(t, "nginx", "nginx", c.Config)
	s.write(configFile, s.nginxExchange(c))
	return s.runUntil(s.nginxCommand(), s.listens)
}

// URL is the address of the server.
func (s *Server) URL() string { return "https://" + s.address() }

// activeSync are the headers of an Exchange 2019.
const activeSync = `Header always set MS-Server-ActiveSync 15.2
Header always set MS-ASProtocolVersions "2.5,12.0,12.1,14.0,14.1,16.0,16.1"`

func (s *Server) apacheExchange(c FrontEnd) string {
	var b strings.Builder
	for _, m := range []string{"mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic", "alias", "headers", "socache_shmcb", "ssl"} {
		fmt.Fprintf(&b, "LoadModule %s_module %s/mod_%s.so\n", m, apacheModules, m)
	}
	if os.Getuid() == 0 {
		b.WriteString("User nobody\nGroup nogroup\n")
	}
	fmt.Fprintf(&b, `ServerName localhost
Listen %s
PidFile %s
DefaultRuntimeDir %s
ErrorLog %s
LogLevel warn ssl:info
StartServers 1
DocumentRoot /
SSLEngine on
SSLProtocol %s
SSLCertificateFile %s
SSLCertificateKeyFile %s
SSLCACertificateFile %s
`, s.address(), s.file("pid"), s.folder, s.file(logFile), c.Protocols, s.c.Certificate, s.c.Key, s.file(caFile))
	if s.c.Lists != "" {
		fmt.Fprintf(&b, "SSLCARevocationFile %s\nSSLCARevocationCheck chain\n", s.file(listFile))
	}
	verify := ""
	if c.Verify != "" {
		verify = fmt.Sprintf("SSLVerifyClient %s\nSSLVerifyDepth %d\n", c.Verify, s.c.Depth)
	}
	inFolder := ""
	if c.Late {
		verify, inFolder = "SSLVerifyClient none\n", verify
	}
	fmt.Fprintf(&b, `%s<Location /Microsoft-Server-ActiveSync>
%s%s
AuthType Basic
AuthName mail
AuthUserFile /dev/null
<RequireAny>
Require expr %%{SSL:SSL_CLIENT_SAN_OTHER_msUPN_0} == '%s'
Require valid-user
</RequireAny>
</Location>
RedirectMatch 401 (?i)^/autodiscover
`, verify, inFolder, activeSync, c.Owner)
	return b.String()
}

func (s *Server) nginxExchange(c FrontEnd) string {
	lists := ""
	if s.c.Lists != "" {
		lists = fmt.Sprintf("ssl_crl %s;\n", s.file(listFile))
	}
	verify := "off"
	switch c.Verify {
	case "require":
		verify = "on"
	case "optional":
		verify = "optional"
	}
	return s.nginxFrame() + fmt.Sprintf(`http {
access_log off;
%sserver {
listen %s ssl;
ssl_protocols %s;
ssl_certificate %s;
ssl_certificate_key %s;
ssl_client_certificate %s;
ssl_verify_client %s;
ssl_verify_depth %d;
%slocation /Microsoft-Server-ActiveSync {
add_header MS-Server-ActiveSync 15.2;
add_header MS-ASProtocolVersions "14.1,16.1";
if ($ssl_client_verify != SUCCESS) { return 401; }
return 200;
}
location ~* ^/autodiscover { return 401; }
}
}
`, s.nginxFolders(), s.address(), c.Protocols, s.c.Certificate, s.c.Key, s.file(caFile), verify, s.c.Depth, lists)
}
