package samba

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/test/daemon"
)

// Entry reads the identifiers of an entry.
func (dc *DC) Entry(t testing.TB, dn string) Entry {
	t.Helper()
	read := dc.read(t, dn, "objectGUID", "objectSid")
	e := Entry{DN: read.DN, RawGUID: read.GetRawAttributeValue("objectGUID"), RawSID: read.GetRawAttributeValue("objectSid")}
	e.GUID, e.SID = textGUID(e.RawGUID), textSID(e.RawSID)
	return e
}

// BySID finds an entry by its SID.
func (dc *DC) BySID(t testing.TB, sid string) Entry {
	t.Helper()
	return dc.Entry(t, "<SID="+sid+">")
}

// RID returns the relative identifier of a SID of this domain.
func (dc *DC) RID(t testing.TB, sid string) int {
	t.Helper()
	text, ours := strings.CutPrefix(sid, dc.SID+"-")
	rid, err := strconv.Atoi(text)
	if !ours || err != nil {
		t.Fatalf("SID %s is none of %s", sid, dc.SID)
	}
	return rid
}

// Values reads the values of an attribute over LDAP.
func (dc *DC) Values(t testing.TB, dn, attribute string) []string {
	t.Helper()
	return dc.read(t, dn, attribute).GetAttributeValues(attribute)
}

// Database reads an attribute from the database file with ldbsearch.
func (dc *DC) Database(t testing.TB, dn, attribute string) string {
	t.Helper()
	out, err := exec.Command(daemon.Program("ldbsearch"), "-H", dc.database(), "-b", dn, "-s", "base", attribute).Output()
	if err != nil {
		t.Fatalf("running ldbsearch: %v", err)
	}
	_, value, _ := strings.Cut(string(out), "\n"+attribute+": ")
	value, _, _ = strings.Cut(value, "\n")
	return value
}

func (dc *DC) database() string { return filepath.Join(dc.folder, "private", "sam.ldb") }

func (dc *DC) value(t testing.TB, dn, attribute, otherwise string) string {
	t.Helper()
	if v := dc.read(t, dn, attribute).GetAttributeValue(attribute); v != "" {
		return v
	}
	return otherwise
}

func (dc *DC) read(t testing.TB, dn string, attributes ...string) *ldap.Entry {
	t.Helper()
	found, err := dc.admin(t).Search(ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases,
		0, 0, false, "(objectClass=*)", attributes, nil))
	if err != nil || len(found.Entries) != 1 {
		t.Fatalf("reading %s: %v", dn, err)
	}
	return found.Entries[0]
}

// admin returns a connection bound as Administrator.
func (dc *DC) admin(t testing.TB) *ldap.Conn {
	t.Helper()
	conn, err := dc.bindAdmin()
	if err != nil {
		t.Fatalf("connecting to the domain controller as %s: %v", Admin, err)
	}
	return conn
}

func (dc *DC) bindAdmin() (*ldap.Conn, error) {
	dc.mu.Lock()
	defer dc.mu.Unlock()
	if dc.conn != nil && !dc.conn.IsClosing() {
		return dc.conn, nil
	}
	conn, err := dc.Dial()
	if err != nil {
		return nil, err
	}
	if err := conn.Bind(Admin, AdminPassword); err != nil {
		conn.Close()
		return nil, err
	}
	dc.conn = conn
	return conn, nil
}
