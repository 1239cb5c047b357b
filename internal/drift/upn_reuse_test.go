package drift_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/drift"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// rename gives an account other names.
func (c *harness) rename(login, to string) {
	c.t.Helper()
	c.change(login, func(a *portal.Account) { a.Login, a.UPN = to, to+"@corp.example" })
}

// hireAs adds an account with the names of another.
func (c *harness) hireAs(id, login, sid string) {
	c.t.Helper()
	entry := c.entry()
	entry.Action = audit.AccountAdded
	err := c.db.AddAccount(c.t.Context(), portal.Account{PasswordHash: "none", Person: portal.Person{
		ID: portal.PersonID("id-" + id), Login: login, UPN: login + "@corp.example", Name: id, SID: sid, MayEnroll: true,
	}}, entry)
	testkit.NoError(c.t, err)
}

func TestA5_AUPNThatAnotherAccountGotEndsTheCertificateAtOnce(t *testing.T) {
	t.Parallel()
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		c := newHarness(t, address, staff(6)...)
		old := c.issue("p001")
		c.rename("p001", "smith")
		renamed := c.issue("p001")
		c.want(c.look(), 2, 0, 0, "") // a plain rename
		testkit.Equal(t, "revoked", c.count(audit.CertificateRevoked), 0)

		c.clock.Advance(time.Hour)
		c.hireAs("new", "P001", "S-1-5-21-1-2-3-5001")
		r := c.look()
		c.want(r, 0, 0, 2, "")
		f := r.Mismatches[0]
		testkit.Equal(t, "finding", fmt.Sprint(f.Change, " ", f.UPN, " ", f.Now, " ", len(f.Serials)), "reused p001@corp.example id-new 2")
		ended := testkit.Must(c.db.Certificate(t.Context(), old))(t)
		testkit.Equal(t, "cause", string(ended.Status)+" "+string(ended.Cause), "revoked reused")
		testkit.Equal(t, "reason code", ended.Cause.ReasonCode(), 3)
		kept := testkit.Must(c.db.Certificate(t.Context(), renamed))(t)
		testkit.Equal(t, "under the new name", kept.Status, portal.Issued)
		testkit.Equal(t, "nudges", c.revoked.Load(), 1)
		note := c.last(audit.UPNReused)
		testkit.Equal(t, "told", note.Person+" "+note.Detail["former"]+" "+note.Detail["upn"], "id-new id-p001 p001@corp.example")
		testkit.Equal(t, "and", c.last(audit.CertificateRevoked).Person, "id-p001")
		c.want(c.look(), 0, 0, 0, "")
	})
}

func TestA5_ADeletedAccountsUPNIsReused(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(4)...)
	c.remove("p001")
	c.hireAs("new", "p001", "S-1-5-21-1-2-3-5001")
	c.want(c.look(), 0, 0, 1, "") // without the grace period of an account that is gone
	testkit.Equal(t, "cause", c.certificate("p001").Cause, portal.Reused)
}

func TestA5_SwappedUPNsEndBothCertificates(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(4)...)
	c.rename("p001", "between")
	c.rename("p002", "p001")
	c.rename("p001", "p002")
	c.want(c.look(), 0, 0, 2, "")
}

// Pairs from before the rule: both people have a certificate with the UPN.
func TestA5_APairFromBeforeTheRuleIsFound(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(4)...)
	c.rename("p001", "smith")
	c.hireAs("new", "p001", "S-1-5-21-1-2-3-5001")
	c.plant("p002", "id-new", "p001@corp.example")
	c.want(c.look(), 0, 0, 1, "")
	testkit.Equal(t, "the former owner's", c.certificate("p001").Cause, portal.Reused)
	testkit.Equal(t, "the new owner's", c.certificate("new").Status, portal.Issued)
}

// plant gives the certificate of one person to another, under a UPN.
func (c *harness) plant(from, to, upn string) {
	c.t.Helper()
	db := testkit.Must(sql.Open("sqlite", c.address))(c.t)
	defer db.Close()
	do := func(query string, args ...any) {
		if _, err := db.Exec(query, args...); err != nil {
			c.t.Fatal(err)
		}
	}
	do("INSERT INTO people (id, changes) VALUES ($1, 1)", to)
	do("UPDATE devices SET person = $1 WHERE person = $2", to, "id-"+from)
	do("UPDATE certificates SET person = $1, sid = 'S-1-5-21-1-2-3-5001', upn = $3, upn_key = NULL WHERE person = $2", to, "id-"+from, upn)
}

func TestA5_OwnersThatCannotBeReadStopNothingElse(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(8)...)
	c.rename("p001", "smith")
	c.hireAs("new", "p001", "S-1-5-21-1-2-3-5001")
	c.fault.owners = func(context.Context, []string) (map[string][]portal.PersonID, error) { return nil, io.ErrUnexpectedEOF }
	c.disable("p002")
	r := c.look()
	c.want(r, 2, 0, 0, "")
	if r.Incomplete == nil {
		t.Error("the report does not say that owners were not read")
	}
	c.fault.mend()
	c.clock.Advance(grace)
	c.want(c.look(), 0, 0, 2, "")
}

// The answer that another has the UPN comes from a server that knows the new name of the
// holder; another reading says they still have it.
func TestA5_WhoStillHasTheUPNKeepsTheCertificate(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(4)...)
	c.fault.many = func(_ context.Context, people []portal.Person, err error) ([]portal.Person, error) {
		for i := range people {
			if people[i].ID == "id-p001" {
				people[i].UPN = "smith@corp.example"
			}
		}
		return people, err
	}
	c.fault.owners = func(context.Context, []string) (map[string][]portal.PersonID, error) {
		return map[string][]portal.PersonID{"p001@corp.example": {"id-other"}}, nil
	}
	c.want(c.look(), 0, 0, 0, "")
}

func TestA5_ManyReusedAtOnceStop(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(20)...)
	for i := range 4 {
		c.rename(fmt.Sprintf("p00%d", i), fmt.Sprintf("smith%d", i))
		c.hireAs(fmt.Sprint("new", i), fmt.Sprintf("p00%d", i), fmt.Sprint("S-1-5-21-1-2-3-500", i))
	}
	c.want(c.look(), 0, 0, 0, drift.TooMany)
	testkit.Equal(t, "revoked", c.count(audit.CertificateRevoked), 0)
}
