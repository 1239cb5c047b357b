package samba

import (
	"encoding/base64"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"certportal/internal/test/daemon"
)

const (
	normalAccount   = 512
	accountDisabled = 2
	passwordExpired = 0x800000 // of msDS-User-Account-Control-Computed
	lockedOut       = 0x10
	longAgo         = "131000000000000000" // February 2016

	// bypassPasswordRules is Samba's DSDB_CONTROL_BYPASS_PASSWORD_HASH_OID, which
	// works on the files alone.
	bypassPasswordRules = "local_oid:1.3.6.1.4.1.7165.4.3.12:0"
)

// Disable disables an account.
func (dc *DC) Disable(t testing.TB, dn string) {
	t.Helper()
	dc.Modify(t, dn, map[string][]string{"userAccountControl": {strconv.Itoa(normalAccount | accountDisabled)}})
}

// Enable enables an account.
func (dc *DC) Enable(t testing.TB, dn string) {
	t.Helper()
	dc.Modify(t, dn, map[string][]string{"userAccountControl": {strconv.Itoa(normalAccount)}})
}

// Expire sets the expiry of an account to a past date.
func (dc *DC) Expire(t testing.TB, dn string) {
	t.Helper()
	dc.Modify(t, dn, map[string][]string{"accountExpires": {longAgo}})
}

// MustChange requires a password change at the next sign-in, which LDAP cannot do.
func (dc *DC) MustChange(t testing.TB, dn string) {
	t.Helper()
	dc.Modify(t, dn, map[string][]string{"pwdLastSet": {"0"}})
}

// SetPassword changes the password of an account.
func (dc *DC) SetPassword(t testing.TB, dn, password string) {
	t.Helper()
	dc.Modify(t, dn, map[string][]string{"unicodePwd": {unicodePassword(password)}})
}

// RunOut expires the account's password by setting its date to 2016. LDAP does not allow
// that, so it writes to the database file.
func (dc *DC) RunOut(t testing.TB, dn string) {
	t.Helper()
	write(t, dc.database(), dn, "pwdLastSet", longAgo, "--controls="+bypassPasswordRules)
	dc.waitFor(t, dn, passwordExpired)
}

// Force writes an attribute to the database file and bypasses the controller's checks.
// Real domains contain such values from older or temporarily disconnected controllers.
func (dc *DC) Force(t testing.TB, dn, attribute, value string) {
	t.Helper()
	dc.tainted = true
	part := filepath.Join(dc.database()+".d", strings.ToUpper(Base)+".ldb")
	write(t, part, dn, attribute, value)
}

func write(t testing.TB, database, dn, attribute, value string, options ...string) {
	t.Helper()
	cmd := exec.Command(daemon.Program("ldbmodify"), append(options, "-H", database)...)
	encoded := base64.StdEncoding.EncodeToString([]byte(value))
	cmd.Stdin = strings.NewReader("dn: " + dn + "\nchangetype: modify\nreplace: " + attribute + "\n" + attribute + ":: " + encoded + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("writing into the database: %v\n%s", err, out)
	}
}

// Lock binds with wrong passwords until the controller locks the account.
func (dc *DC) Lock(t testing.TB, dn string) {
	t.Helper()
	for range LockAfter {
		dc.TryPassword(dn, "not "+Password)
	}
	dc.waitFor(t, dn, lockedOut)
}

// Unlock unlocks an account.
func (dc *DC) Unlock(t testing.TB, dn string) {
	t.Helper()
	dc.Modify(t, dn, map[string][]string{"lockoutTime": {"0"}})
}

// BadPasswords returns the controller's count of wrong passwords (badPwdCount).
func (dc *DC) BadPasswords(t testing.TB, dn string) int {
	t.Helper()
	n, err := strconv.Atoi(dc.value(t, dn, "badPwdCount", "0"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// waitFor waits until a bit of msDS-User-Account-Control-Computed is set.
func (dc *DC) waitFor(t testing.TB, dn string, bit int) {
	t.Helper()
	probe, end := time.NewTicker(50*time.Millisecond), time.After(10*time.Second)
	defer probe.Stop()
	for {
		state, err := strconv.Atoi(dc.value(t, dn, "msDS-User-Account-Control-Computed", "0"))
		if err == nil && state&bit != 0 {
			return
		}
		select {
		case <-probe.C:
		case <-end:
			t.Fatalf("state of %s is %x, want bit %x (%v)", dn, state, bit, err)
		}
	}
}

// unicodePassword encodes a password for unicodePwd: quoted, in UTF-16LE (MS-ADTS section
// 3.1.1.3.1.5).
func unicodePassword(password string) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(`"` + password + `"`)) {
		b = append(b, byte(unit), byte(unit>>8))
	}
	return string(b)
}
