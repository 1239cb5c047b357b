package samba

import (
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/go-ldap/ldap/v3"
)

// idle holds the running controllers that no test uses at the moment.
var idle struct {
	sync.Mutex
	all []*DC
}

// Lease returns a running domain controller for exclusive use until the end of the test.
// Unlike [Start] it reuses the controllers of earlier tests, after deleting what those
// tests added, because starting one takes more time than most tests. The test binary must
// call [StopAll] in TestMain.
func Lease(t testing.TB) *DC {
	t.Helper()
	need(t)
	dc := takeIdle()
	if dc == nil {
		folder, err := os.MkdirTemp("", "samba-*")
		if err != nil {
			t.Fatal(err)
		}
		dc = start(t, folder)
		dc.temporary = true
	}
	dc.t = t
	t.Cleanup(func() { dc.release(t) })
	return dc
}

func takeIdle() *DC {
	idle.Lock()
	defer idle.Unlock()
	if len(idle.all) == 0 {
		return nil
	}
	dc := idle.all[len(idle.all)-1]
	idle.all = idle.all[:len(idle.all)-1]
	return dc
}

// release makes a controller available to the next test. It stops one that the test
// changed in a way that reset cannot undo.
func (dc *DC) release(t testing.TB) {
	if dc.tainted || t.Failed() || dc.reset() != nil {
		dc.discard()
		return
	}
	idle.Lock()
	defer idle.Unlock()
	idle.all = append(idle.all, dc)
}

// reset deletes the entries that the test added, the last one first, and restores the
// attributes of the domain entry.
func (dc *DC) reset() error {
	conn, err := dc.bindAdmin()
	if err != nil {
		return err
	}
	var errs []error
	for len(dc.added) > 0 {
		last := len(dc.added) - 1
		request := ldap.NewDelRequest("<GUID="+dc.added[last]+">", []ldap.Control{ldap.NewControlSubtreeDelete()})
		if err := conn.Del(request); !ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
			errs = append(errs, err)
		}
		dc.added = dc.added[:last]
	}
	if len(dc.replaced) > 0 {
		m := ldap.NewModifyRequest(Base, nil)
		for name, values := range dc.replaced {
			m.Replace(name, values)
		}
		errs = append(errs, conn.Modify(m))
		dc.replaced = nil
	}
	return errors.Join(errs...)
}

// keepOriginal saves the attributes of the domain entry before their first change.
func (dc *DC) keepOriginal(t testing.TB, dn string, attributes map[string][]string) {
	t.Helper()
	if !strings.EqualFold(dn, Base) {
		return
	}
	for name := range attributes {
		if _, kept := dc.replaced[name]; kept {
			continue
		}
		if dc.replaced == nil {
			dc.replaced = map[string][]string{}
		}
		dc.replaced[name] = dc.Values(t, dn, name)
	}
}

func (dc *DC) discard() {
	dc.Stop()
	if dc.temporary {
		os.RemoveAll(dc.folder)
	}
}

// StopAll stops the controllers started by [Lease].
func StopAll() {
	idle.Lock()
	defer idle.Unlock()
	for _, dc := range idle.all {
		dc.discard()
	}
	idle.all = nil
}
