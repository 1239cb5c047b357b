package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
)

// planter is a store on the database of the test that writes as the program does, with
// every column right, but without the secret of the installation: a bytewise perfect
// attacker.
func (db *database) planter(t testing.TB) *database {
	t.Helper()
	planter := testkit.Must(store.Open(t.Context(), store.Config{URL: db.address, Secret: portal.Secret{6, 6, 6}}))(t)
	t.Cleanup(func() { planter.Close() })
	return &database{DB: planter, plain: db.plain, address: db.address, dialect: db.dialect}
}

// replica is another store of the same installation.
func (db *database) replica(t testing.TB) *database {
	t.Helper()
	return &database{DB: opened(t, db.address), plain: db.plain, address: db.address, dialect: db.dialect}
}

// set changes columns in SQL; at least one row must be met.
func (db *database) set(t testing.TB, statement string, args ...any) {
	t.Helper()
	changed := testkit.Must(db.plain.ExecContext(t.Context(), statement, args...))(t)
	if n := testkit.Must(changed.RowsAffected())(t); n == 0 {
		t.Fatalf("%s: no row", statement)
	}
}

// dropChecks removes the constraints of a table, as an administrator of the database can.
func (db *database) dropChecks(t testing.TB, table string) {
	t.Helper()
	if db.dialect == "sqlite3" {
		db.plain.SetMaxOpenConns(1)
		testkit.Must(db.plain.ExecContext(t.Context(), "PRAGMA ignore_check_constraints = ON"))(t)
		return
	}
	rows := testkit.Must(db.plain.QueryContext(t.Context(),
		"SELECT conname FROM pg_constraint WHERE contype = 'c' AND conrelid = '"+table+"'::regclass"))(t)
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		testkit.NoError(t, rows.Scan(&name))
		names = append(names, name)
	}
	testkit.NoError(t, rows.Err())
	for _, name := range names {
		testkit.Must(db.plain.ExecContext(t.Context(), "ALTER TABLE "+table+" DROP CONSTRAINT "+name))(t)
	}
}

// writers are who may have written a row, and whether it counts.
func (db *database) writers(t testing.TB) map[string]*database {
	return map[string]*database{"a planter": db.planter(t), "a replica": db.replica(t)}
}

func TestA9_PlantedHandoff(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		n := byte(0)
		for writer, by := range db.writers(t) {
			n++
			o := offered(t, by, anna, n, testkit.Noon)
			_, err := db.OpenHandoff(t.Context(), o.CodeHash, testkit.Noon)
			_, byID := db.Handoff(t.Context(), anna, o.ID)
			if planted := errors.Is(err, portal.ErrNotFound) && errors.Is(byID, portal.ErrNotFound); planted != (writer == "a planter") {
				t.Errorf("by %s: got %v and %v", writer, err, byID)
			}
		}
		for i, change := range []string{
			"person = 'ben'", "number = 99", "session = (SELECT id_hash FROM sessions ORDER BY id_hash LIMIT 1)", "masked = 'B**'", "expires_at = expires_at + 600000", "mac = NULL",
		} {
			o := offered(t, db, anna, byte(10+i), testkit.Noon)
			save(t, db, byte(10+i), string(anna), testkit.Noon)
			db.set(t, "UPDATE handoffs SET "+change+" WHERE id = $1", string(o.ID))
			if _, err := db.OpenHandoff(t.Context(), o.CodeHash, testkit.Noon); !errors.Is(err, portal.ErrNotFound) {
				t.Errorf("after %s: got %v, want not found", change, err)
			}
			if change == "person = 'ben'" {
				db.set(t, "DELETE FROM handoffs WHERE id = $1", string(o.ID))
			}
		}
	})
}

func TestA4_PlantedInvitation(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		n := byte(0)
		for writer, by := range db.writers(t) {
			n++
			o := invited(t, by, anna, n, testkit.Noon)
			i := testkit.Must(db.InvitationByCode(t.Context(), o.CodeHash))(t)
			err := db.Reserve(t.Context(), withInvitation(fixture.NewEnrolment(t, anna, fmt.Sprint("Phone ", n)), o).Reservation)
			var refusal *portal.Refusal
			void := i.State == signin.InvitationVoid && errors.As(err, &refusal) && refusal.Reason == portal.CodeOver
			if void != (writer == "a planter") {
				t.Errorf("by %s: got %s and %v", writer, i.State, err)
			}
		}
		for i, change := range []string{
			"person = 'anna', made_by = 'ada'", "alone = NOT alone", "device_id = 'other'", "expires_at = expires_at + 86400000",
			"made_role = 'admin'", "note = ''", "mac = NULL", "code_hash = zero", "closed_at = 1, alone = NOT alone",
		} {
			if strings.HasPrefix(change, "closed_at") {
				db.dropChecks(t, "invitations")
			}
			o := invited(t, db, anna, byte(10+i), testkit.Noon)
			hash := o.CodeHash
			if change == "code_hash = zero" {
				hash = [32]byte{0: 99}
				db.set(t, "UPDATE invitations SET code_hash = $2 WHERE id = $1", string(o.ID), hash[:])
			} else {
				db.set(t, "UPDATE invitations SET "+change+" WHERE id = $1", string(o.ID))
			}
			if got := testkit.Must(db.InvitationByCode(t.Context(), hash))(t); got.State != signin.InvitationVoid {
				t.Errorf("after %s: got %s, want void", change, got.State)
			}
			if _, err := db.Invited(t.Context(), anna); !errors.Is(err, portal.ErrNotFound) {
				t.Errorf("after %s: staff see it as open: %v", change, err)
			}
		}
	})
}

// TestA4_ApprovalInSQL opens a code that waits without the second person.
func TestA4_ApprovalInSQL(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		approvals := map[string]func(id signin.InvitationID){
			"the state": func(id signin.InvitationID) {
				db.set(t, "UPDATE invitations SET state = 'open' WHERE id = $1", string(id))
			},
			"the state and approver": func(id signin.InvitationID) {
				db.set(t, "UPDATE invitations SET state = 'open', approver = 'ada' WHERE id = $1", string(id))
			},
			"planted approval": func(id signin.InvitationID) {
				by := db.planter(t)
				if err := by.ApproveInvitation(t.Context(), id, "ada", testkit.Noon, mismatchEntry(audit.InvitationApproved, anna)); !errors.Is(err, portal.ErrConflict) {
					t.Errorf("a planter approves: %v", err)
				}
				db.set(t, "UPDATE invitations SET state = 'open', approver = 'ada' WHERE id = $1", string(id))
			},
		}
		n := byte(0)
		for name, approve := range approvals {
			n++
			o := invitation(anna, n, testkit.Noon)
			o.State = signin.InvitationWaiting
			testkit.NoError(t, db.Invite(t.Context(), o))
			testkit.Equal(t, "waiting", len(testkit.Must(db.WaitingInvitations(t.Context(), testkit.Noon, 5))(t)), 1)
			approve(o.ID)
			testkit.Equal(t, name, testkit.Must(db.Invitation(t.Context(), o.ID))(t).State, signin.InvitationVoid)
		}
		o := invitation(anna, 9, testkit.Noon)
		o.State = signin.InvitationWaiting
		testkit.NoError(t, db.Invite(t.Context(), o))
		testkit.NoError(t, db.ApproveInvitation(t.Context(), o.ID, "ada", testkit.Noon, mismatchEntry(audit.InvitationApproved, anna)))
		testkit.Equal(t, "approved by the portal", testkit.Must(db.Invitation(t.Context(), o.ID))(t).State, signin.InvitationOpen)
		// A planted one is no item of the list of those that wait.
		planted := invitation("ben", 10, testkit.Noon)
		planted.State = signin.InvitationWaiting
		testkit.NoError(t, db.planter(t).Invite(t.Context(), planted))
		testkit.Equal(t, "waiting", len(testkit.Must(db.WaitingInvitations(t.Context(), testkit.Noon, 5))(t)), 0)
	})
}

func TestA15_PlantedChallenge(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		n := 0
		for writer, by := range db.writers(t) {
			n++
			c := addChallenge(t, by, fixture.NewEnrolment(t, anna, fmt.Sprint("Phone ", n)), fmt.Sprint("c", n))
			_, bySecret := db.ChallengeBySecret(t.Context(), c.SecretHash)
			_, byToken := db.ChallengeByToken(t.Context(), c.TokenHash)
			_, byDevice := db.OpenChallenge(t.Context(), anna, c.Device.ID, testkit.Noon)
			for _, err := range []error{bySecret, byToken, byDevice} {
				if planted := errors.Is(err, portal.ErrNotFound); planted != (writer == "a planter") {
					t.Errorf("by %s: got %v", writer, err)
				}
			}
		}
		victim := fixture.NewEnrolment(t, "ben", "Ben's phone").Issue(t, db)
		for i, change := range []string{
			"UPDATE challenges SET device_id = '" + string(victim.Reservation.Device.ID) + "' WHERE id = $1",
			"UPDATE devices SET person = 'ben' WHERE id = (SELECT device_id FROM challenges WHERE id = $1)",
			"UPDATE challenges SET names_hash = secret_hash WHERE id = $1",
			"UPDATE challenges SET expires_at = expires_at + 600000 WHERE id = $1",
			"UPDATE challenges SET invitation = 'x' WHERE id = $1",
			"UPDATE challenges SET renews = NOT renews WHERE id = $1",
			"UPDATE challenges SET ends = '" + victim.Serial().String() + "' WHERE id = $1",
			"UPDATE challenges SET mac = NULL WHERE id = $1",
		} {
			c := addChallenge(t, db, fixture.NewEnrolment(t, portal.PersonID(fmt.Sprint("p", i)), "Phone"), fmt.Sprint("changed", i))
			db.set(t, change, string(c.ID))
			if _, err := db.ChallengeBySecret(t.Context(), c.SecretHash); !errors.Is(err, portal.ErrNotFound) {
				t.Errorf("after %s: got %v, want not found", change, err)
			}
		}
	})
}

// TestA11_PlantedBulkRevocation plants a running bulk revocation, and changes those of an
// administrator.
func TestA11_PlantedBulkRevocation(t *testing.T) {
	tests := []struct {
		name    string
		change  string // of the order o1 with three certificates
		proven  bool
		planted bool
	}{
		{name: "a replica's", proven: true},
		{name: "planted whole", planted: true},
		{name: "another maker", change: "UPDATE orders SET maker = 'eve'"},
		{name: "another approver", change: "UPDATE orders SET approver = 'eve'"},
		{name: "another cause", change: "UPDATE orders SET cause = 'withdrawn'"},
		{name: "one certificate more", change: "UPDATE orders SET items = 4"},
		{name: "another certificate", change: "UPDATE order_items SET serial = (SELECT serial FROM certificates WHERE person = 'p3') WHERE place = 2"},
		{name: "one certificate less", change: "DELETE FROM order_items WHERE place = 2"},
		{name: "another maker, closed", change: "UPDATE orders SET maker = 'eve', closed_at = 1"},
		{name: "from before the upgrade", change: "UPDATE orders SET mac = NULL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, db *database) {
				serials := issuedSerials(t, db, 4)
				by := db.replica(t)
				if tt.planted {
					by = db.planter(t)
				}
				order(t, by, "o1", serials[:3])
				if tt.change != "" {
					db.dropChecks(t, "orders")
					db.set(t, tt.change)
				}
				ended, err := runAll(db, "o1", 10)
				if tt.proven {
					if err != nil || ended != 3 {
						t.Errorf("got %d, %v", ended, err)
					}
					return
				}
				if ended != 0 || !errors.Is(err, admin.ErrUnproven) {
					t.Errorf("got %d ended and %v, want none and unproven", ended, err)
				}
				o := testkit.Must(db.Bulk(t.Context(), "o1"))(t)
				err = db.TransitionBulk(t.Context(), admin.BulkTransition{
					ID: "o1", From: o.State, To: admin.Dropped, At: testkit.Noon, Entry: fixture.NewEntry(testkit.Noon, audit.BulkDropped, "system"),
				})
				testkit.NoError(t, err)
				testkit.Equal(t, "state", testkit.Must(db.Bulk(t.Context(), "o1"))(t).State, admin.Dropped)
			})
		})
	}
}

// TestA11_ApprovalOfBulkInSQL starts a bulk revocation that waits for the second
// administrator.
func TestA11_ApprovalOfBulkInSQL(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		serials := issuedSerials(t, db, 2)
		order(t, db, "o1", serials)
		db.set(t, "UPDATE orders SET state = 'waiting', mac = mac")
		o := testkit.Must(db.Bulk(t.Context(), "o1"))(t)
		testkit.Equal(t, "unproven", o.Unproven, true)
		err := db.TransitionBulk(t.Context(), admin.BulkTransition{
			ID: "o1", From: admin.Waiting, To: admin.Running, At: testkit.Noon.Add(time.Minute), Approver: "eve",
			Entry: fixture.NewEntry(testkit.Noon, audit.BulkApproved, "eve"),
		})
		wantError(t, "approving", err, admin.ErrUnproven)
	})
}
