package samba

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"certportal/internal/test/daemon"
)

// cacheName needs a new number with every change of provision.
const cacheName = "samba-2"

// provision creates the domain. Its databases do not contain the path of the folder, so
// that copies work.
func provision(folder string) error {
	config := filepath.Join(folder, "etc", "smb.conf")
	for _, args := range [][]string{
		{"domain", "provision", "--targetdir=" + folder, "--realm=" + strings.ToUpper(Domain), "--domain=" + NetBIOS,
			"--server-role=dc", "--dns-backend=NONE", "--adminpass=" + AdminPassword, "--host-name=dc1",
			"--host-ip=127.0.0.1", "--function-level=2008_R2",
			"--option=interfaces=127.0.0.1/8", "--option=bind interfaces only=yes", "--option=log file=" + filepath.Join(folder, "log")},
		// Simple passwords, which may be changed twice in a second. They expire, because
		// tests need an expiry, but only after 998 days.
		{"domain", "passwordsettings", "set", "--configfile=" + config, "--complexity=off", "--history-length=0",
			"--min-pwd-age=0", "--max-pwd-age=998", "--min-pwd-length=6", "--account-lockout-threshold=" + strconv.Itoa(LockAfter)},
		{"user", "create", strings.TrimSuffix(Reader, "@"+Domain), ReaderPassword, "--configfile=" + config},
	} {
		if out, err := exec.Command(daemon.Program("samba-tool"), args...).CombinedOutput(); err != nil {
			return fmt.Errorf("running samba-tool %s %s: %w\n%s", args[0], args[1], err, out)
		}
	}
	return addWorld(folder)
}

// running returns the smb.conf of a copy: only the LDAP services, in one process, with all
// files below the folder.
func running(folder, address string, tls daemon.Files) string {
	below := func(name string) string { return filepath.Join(folder, name) }
	lines := []string{"[global]",
		"netbios name = DC1",
		"realm = " + strings.ToUpper(Domain),
		"workgroup = " + NetBIOS,
		"server role = active directory domain controller",
		"server services = ldap, cldap, kdc",
		"interfaces = " + address + "/8",
		"bind interfaces only = yes",
		"private dir = " + below("private"),
		"state directory = " + below("state"),
		"cache directory = " + below("cache"),
		"lock directory = " + below("lock"),
		"pid directory = " + below("pid"),
		"ncalrpc dir = " + below("ncalrpc"),
		"winbindd socket directory = " + below("winbindd"),
		"ntp signd socket directory = " + below("ntp_signd"),
		"log file = " + below("log"),
		"tls enabled = yes",
		"ldap server require strong auth = allow_sasl_over_tls",
		"",
	}
	if tls.Certificate != "" { // else Samba makes one
		lines = append(lines, "tls cafile = "+tls.CA, "tls certfile = "+tls.Certificate, "tls keyfile = "+tls.Key, "")
	}
	return strings.Join(lines, "\n")
}

// Restart starts the controller after a Stop, with the same address and data.
func (dc *DC) Restart() {
	dc.t.Helper()
	for _, name := range []string{"cache", "lock", "pid", "ncalrpc", "winbindd", "ntp_signd"} {
		if err := os.MkdirAll(filepath.Join(dc.folder, name), 0o755); err != nil {
			dc.t.Fatal(err)
		}
	}
	cmd := exec.Command(daemon.Program("samba"), "--configfile="+dc.config(),
		"--foreground", "--no-process-group", "--model=single", "--debug-stdout")
	if dc.kerberos != "" {
		cmd.Env = append(os.Environ(), "KRB5_CONFIG="+dc.kerberos)
		cmd.Args = append(cmd.Args, "--option=log level = 1 kerberos:3")
	}
	process, err := daemon.Run(dc.t.Context(), cmd, func(context.Context) error { return dc.TryPassword(Reader, ReaderPassword) })
	if err != nil {
		dc.t.Fatal(err)
	}
	dc.process = process
}

// Stop ends the controller, so that its address refuses connections.
func (dc *DC) Stop() {
	dc.mu.Lock()
	defer dc.mu.Unlock()
	if dc.conn != nil {
		dc.conn.Close()
		dc.conn = nil
	}
	if dc.process != nil {
		dc.process.Stop()
		dc.process = nil
	}
}

// Freeze stops the controller with SIGSTOP: the system accepts connections, and they get
// no response until Thaw.
func (dc *DC) Freeze() {
	dc.t.Helper()
	dc.tainted = true
	if err := dc.process.Freeze(); err != nil {
		dc.t.Fatal(err)
	}
}

// Thaw continues a frozen controller.
func (dc *DC) Thaw() {
	dc.t.Helper()
	if err := dc.process.Thaw(); err != nil {
		dc.t.Fatal(err)
	}
}
