package store_test

import (
	"fmt"
	"testing"
	"time"

	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/drift"
	"certportal/internal/notify"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// failedAbout records a message that was given up, about the newest audit entry with an
// object, or under a key of its own.
func failedAbout(t *testing.T, db *database, kind notify.Kind, key, object string, until time.Time) string {
	t.Helper()
	for _, e := range fixture.Entries(t, db) {
		if key == "" && e.Object == object {
			key = fmt.Sprint("entry:", e.Seq)
		}
	}
	id := string(kind) + " " + key
	m := notify.Message{ID: id, Key: key, Kind: kind, Person: anna, To: "old@corp.example", Language: "en", Made: testkit.Noon,
		Params: notify.Params{Device: "d", Devices: []string{"Phone"}, At: testkit.Noon, Until: until, Days: 14}}
	testkit.NoError(t, db.Enqueue(t.Context(), []notify.Message{m}))
	testkit.NoError(t, db.GiveUpMessage(t.Context(), m, testkit.Noon, "550 no such user", fixture.NewEntry(testkit.Noon, audit.MailFailed, anna)))
	return id
}

// TestStaleMessagesAreNotSentAgain: each kind of message is sent again while what it says
// is so, and not once it is over.
func TestStaleMessagesAreNotSentAgain(t *testing.T) {
	at := testkit.Noon.Add(time.Hour)
	mismatch := func(change portal.Change) func(t *testing.T, db *database, e fixture.Enrolment) {
		return func(t *testing.T, db *database, e fixture.Enrolment) {
			_, err := db.plain.Exec("INSERT INTO marks (serial, change, since) VALUES ($1, $2, 1)", e.Serial().String(), string(change))
			testkit.NoError(t, err)
		}
	}
	ended := func(t *testing.T, db *database, e fixture.Enrolment) {
		revoke(t, db, portal.Left, testkit.Noon, e.Serial())
	}
	reservation := func(e fixture.Enrolment) string { return e.Serial().String() }
	none := func(fixture.Enrolment) string { return "" }
	tests := []struct {
		name   string
		kind   notify.Kind
		key    func(e fixture.Enrolment) string // empty: of the audit entry about
		object func(e fixture.Enrolment) string
		until  time.Duration
		before func(t *testing.T, db *database, e fixture.Enrolment)
		over   func(t *testing.T, db *database, e fixture.Enrolment) // makes it untrue
	}{
		{"ends soon, and was renewed", notify.Ending, func(e fixture.Enrolment) string { return "ends:14:" + e.Serial().String() }, none, fixture.Year, nil,
			func(t *testing.T, db *database, e fixture.Enrolment) { renewal(t, e, late(e)).Issue(t, db) }},
		{"ends soon, and was blocked", notify.Ending, func(e fixture.Enrolment) string { return "ends:14:" + e.Serial().String() }, none, fixture.Year, nil, ended},
		{"a new certificate, and it ended", notify.Issued, none, reservation, fixture.Year, nil, ended},
		{"a renewed certificate, and it ended", notify.Renewed, none, reservation, fixture.Year, nil, ended},
		{"other names, and they fit again", notify.Changed, none, reservation, 0, mismatch(portal.UPNChanged),
			func(t *testing.T, db *database, e fixture.Enrolment) {
				_, err := db.plain.Exec("DELETE FROM marks")
				testkit.NoError(t, err)
			}},
		{"protected, and all is blocked", notify.Privileged, none, reservation, 0, mismatch(portal.BecameProtected), ended},
		{"a code, and it was used", notify.Invited, none, func(fixture.Enrolment) string { return "i1" }, 24 * time.Hour,
			func(t *testing.T, db *database, e fixture.Enrolment) {
				entry := fixture.NewEntry(testkit.Noon, audit.InvitationMade, anna)
				entry.Object = "i1"
				testkit.NoError(t, db.Note(t.Context(), entry))
				_, err := db.plain.Exec(`INSERT INTO invitations (id, code_hash, person, made_by, made_role, made_at, checked, note, purpose, device_id, alone, state, expires_at)
					VALUES ('i1', $1, 'anna', 'hedi', 'helpdesk', 1, 'video', '', 'new', '', $2, 'open', $3)`,
					make([]byte, 32), false, at.Add(24*time.Hour).UnixMilli())
				testkit.NoError(t, err)
			},
			func(t *testing.T, db *database, e fixture.Enrolment) {
				_, err := db.plain.Exec("UPDATE invitations SET state = 'ended', closed_at = 2")
				testkit.NoError(t, err)
			}},
		{"issuing is stopped, and goes on", notify.Halted, func(fixture.Enrolment) string { return "halt" }, none, 0,
			func(t *testing.T, db *database, _ fixture.Enrolment) {
				testkit.Must(db.SetHalt(t.Context(), admin.Halt{Reason: "closed", Actor: "ada", Since: testkit.Noon}, fixture.NewEntry(testkit.Noon, audit.IssuingHalted, "ada")))(t)
			},
			func(t *testing.T, db *database, _ fixture.Enrolment) {
				testkit.Must(db.SetHalt(t.Context(), admin.Halt{}, fixture.NewEntry(testkit.Noon, audit.IssuingResumed, "ada")))(t)
			}},
		{"the watch is stopped, and goes on", notify.Stopped, func(fixture.Enrolment) string { return "watch" }, none, 0,
			func(t *testing.T, db *database, _ fixture.Enrolment) {
				testkit.Must(db.StopDrift(t.Context(), drift.StopReason("too-many"), testkit.Noon, fixture.NewEntry(testkit.Noon, audit.WatchStopped, "")))(t)
			},
			func(t *testing.T, db *database, _ fixture.Enrolment) {
				testkit.Must(db.ResumeDrift(t.Context(), fixture.NewEntry(testkit.Noon, audit.WatchResumed, "")))(t)
			}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, db *database) {
				e := fetched(t, db, fixture.NewEnrolment(t, anna, "Phone").Issue(t, db))
				if tt.before != nil {
					tt.before(t, db, e)
				}
				var until time.Time
				if tt.until > 0 {
					until = testkit.Noon.Add(tt.until)
				}
				id := failedAbout(t, db, tt.kind, tt.key(e), tt.object(e), until)
				resent := fixture.NewEntry(at, audit.MailResent, "ada")
				if !until.IsZero() {
					wantError(t, "after its time", db.ResendMessage(t.Context(), id, "new@corp.example", until, resent), notify.ErrStale)
				}
				tt.over(t, db, e)
				wantError(t, "not true any more", db.ResendMessage(t.Context(), id, "new@corp.example", at, resent), notify.ErrStale)
				testkit.Equal(t, "still listed", len(testkit.Must(db.FailedMessages(t.Context(), 10))(t)), 1)
				testkit.Equal(t, "due", len(claim(t, db, at)), 0)
			})
		})
		t.Run(tt.name+": before", func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, db *database) {
				e := fetched(t, db, fixture.NewEnrolment(t, anna, "Phone").Issue(t, db))
				if tt.before != nil {
					tt.before(t, db, e)
				}
				var until time.Time
				if tt.until > 0 {
					until = testkit.Noon.Add(tt.until)
				}
				id := failedAbout(t, db, tt.kind, tt.key(e), tt.object(e), until)
				testkit.NoError(t, db.ResendMessage(t.Context(), id, "new@corp.example", at, fixture.NewEntry(at, audit.MailResent, "ada")))
				due := claim(t, db, at)
				if len(due) != 1 || due[0].To != "new@corp.example" || !due[0].Made.Equal(at) {
					t.Fatalf("due: %+v", due)
				}
				if days := due[0].Params.Days; tt.kind == notify.Ending && days != 365 {
					t.Errorf("it says %d days, want the days that are left", days)
				}
			})
		})
	}
}
