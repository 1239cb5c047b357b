package store_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"certportal/internal/audit"
	"certportal/internal/notify"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
)

var _ notify.Store = (*store.DB)(nil)

// message is a message to anna, made at testkit.Noon.
func message(id string) notify.Message {
	return notify.Message{
		ID: id, Key: "about " + id, Kind: notify.Issued, Person: anna, To: "anna@corp.example", Language: "de", Made: testkit.Noon,
		Params: notify.Params{
			Name: "Änna \x00 \"<b>\u2028", Devices: []string{"iPhone", ""}, Device: "d1", At: testkit.Noon, Until: testkit.Noon.Add(time.Hour),
			Days: 3, Cause: portal.Lost, People: []notify.Mismatch{{UPN: "bob@corp.example", Change: "upn"}}, More: 2,
		},
	}
}

func claim(t testing.TB, db notify.Store, now time.Time) []notify.Message {
	t.Helper()
	return testkit.Must(db.ClaimMessages(t.Context(), now, now.Add(15*time.Minute), 100))(t)
}

func ids(messages []notify.Message) string {
	var list []string
	for _, l := range messages {
		list = append(list, l.ID)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func TestMailEvents(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		if err := db.SetLanguage(ctx, anna, "zh-Hans"); err != nil {
			t.Fatal(err)
		}
		e := fixture.NewEnrolment(t, anna, "Änna's <iPhone>").Issue(t, db)
		if err := db.Note(ctx, fixture.NewEntry(testkit.Noon, audit.SignedIn, "bob")); err != nil {
			t.Fatal(err)
		}
		after, found, err := db.MailEvents(ctx, 10)
		if err != nil || after != 0 || len(found) != 3 {
			t.Fatalf("got %d entries after %d, %v", len(found), after, err)
		}
		h := found[1]
		testkit.Equal(t, "action", h.Action, audit.CertificateIssued)
		testkit.Equal(t, "number", h.Seq, 2)
		testkit.Equal(t, "moment", h.At, testkit.Noon)
		testkit.Equal(t, "language", h.Language, "zh-Hans")
		testkit.Equal(t, "device", h.Device, e.Device())
		testkit.Equal(t, "name", h.DeviceName, "Änna's <iPhone>")
		testkit.Equal(t, "end", h.NotAfter, e.Reservation.NotAfter)
		testkit.Equal(t, "request", h.Request, "r1")
		testkit.Equal(t, "detail", h.Detail["profile"], "User")
		testkit.Equal(t, "device of a sign-in", found[2].Device, "")
		if err := db.EnqueueFrom(ctx, 0, 2, nil); err != nil {
			t.Fatal(err)
		}
		after, found, err = db.MailEvents(ctx, 10)
		if err != nil || after != 2 || len(found) != 1 {
			t.Fatalf("got %d entries after %d, %v", len(found), after, err)
		}
	})
}

// A damaged entry does not stop later messages.
func TestA19_ADamagedEntryStopsNoMessages(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		for range 3 {
			if err := db.Note(t.Context(), fixture.NewEntry(testkit.Noon, audit.LogBroken, "")); err != nil {
				t.Fatal(err)
			}
		}
		trigger := "ledger_is_append_only ON ledger"
		if db.dialect == goose.DialectSQLite3 {
			trigger = "ledger_is_not_rewritten"
		}
		for _, statement := range []string{"DROP TRIGGER " + trigger, `UPDATE ledger SET detail = '{"why' WHERE seq = 2`} {
			if _, err := db.plain.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
		_, found, err := db.MailEvents(t.Context(), 10)
		if err != nil || len(found) != 3 {
			t.Fatalf("got %d entries, %v", len(found), err)
		}
		testkit.Equal(t, "action", found[1].Action, audit.LogBroken)
		testkit.Equal(t, "details", len(found[1].Detail), 0)
	})
}

// A renewal is distinguished from a certificate for a new device.
func TestMailEventsDistinguishRenewals(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		old := fetched(t, db, fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db))
		next := renewal(t, old, late(old)).Issue(t, db)
		_, found, err := db.MailEvents(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range found {
			if h.Action == audit.CertificateIssued {
				testkit.Equal(t, "renewal "+h.Object, h.Renewal, h.Object == next.Serial().String())
			}
		}
	})
}

// Entries from before there was mail get no message.
func TestMessagesBeginAtTheEndOfTheAuditLog(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			address := engine.empty(t)
			plain := connect(t, engine.driver, address)
			steps := tenSteps(t, engine.dialect, plain)
			testkit.Must(steps.UpTo(t.Context(), 8))(t)
			testkit.Must(plain.Exec("UPDATE ledger_head SET seq = 1234567"))(t)
			testkit.Must(steps.Up(t.Context()))(t)
			after, found, err := opened(t, address).MailEvents(t.Context(), 10)
			if err != nil || after != 1234567 || len(found) != 0 {
				t.Errorf("got %d entries after %d, %v", len(found), after, err)
			}
		})
	}
}

// Messages and the position in the audit log change together, and of two collectors
// one succeeds.
func TestPostIsOneTransactionOfOneClerk(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		const collectors = 4
		outcomes := make(chan error, collectors)
		for n := range collectors {
			go func() { outcomes <- db.EnqueueFrom(ctx, 0, 5, []notify.Message{message(fmt.Sprint("l", n))}) }()
		}
		won := 0
		for range collectors {
			err := <-outcomes
			if err == nil {
				won++
				continue
			}
			wantError(t, "the slower collector", err, portal.ErrConflict)
		}
		testkit.Equal(t, "collectors that succeeded", won, 1)
		testkit.Equal(t, "messages", len(claim(t, db, testkit.Noon)), 1)
		// A message that cannot be written leaves the position unchanged.
		bad := message("bad")
		bad.ID = ""
		if err := db.EnqueueFrom(ctx, 5, 9, []notify.Message{message("good"), bad}); err == nil {
			t.Error("a message without an id was enqueued")
		}
		after, _, err := db.MailEvents(ctx, 1)
		if err != nil || after != 5 {
			t.Errorf("the collector is at %d, %v", after, err)
		}
		testkit.Equal(t, "messages", len(claim(t, db, testkit.Noon)), 0)
	})
}

func TestAMessageComesBackUnchanged(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		want := message("l1")
		if err := db.Enqueue(t.Context(), []notify.Message{want}); err != nil {
			t.Fatal(err)
		}
		got := claim(t, db, testkit.Noon)
		for i := range got {
			got[i].Claim = ""
		}
		if len(got) != 1 || fmt.Sprintf("%+v", got[0]) != fmt.Sprintf("%+v", want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestAKeyIsTakenOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		second := message("l2")
		second.Key = message("l1").Key
		void := message("l3")
		void.To = ""
		after := message("l4")
		after.Key = void.Key
		for _, batch := range [][]notify.Message{{message("l1"), second}, {second}, {void}, {after}} {
			if err := db.Enqueue(ctx, batch); err != nil {
				t.Fatal(err)
			}
		}
		testkit.Equal(t, "messages", ids(claim(t, db, testkit.Noon)), "l1")
		testkit.Equal(t, "failed", testkit.Must(db.MailState(ctx, 10))(t).Failed, 0)
	})
}

// Every message has one sender at a time, over all replicas.
func TestEveryMessageHasOneSender(t *testing.T) {
	const many, senders = 60, 6
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		var messages []notify.Message
		for n := range many {
			messages = append(messages, message(fmt.Sprint("l", n)))
		}
		if err := db.Enqueue(ctx, messages); err != nil {
			t.Fatal(err)
		}
		replica := opened(t, db.address)
		var mu sync.Mutex
		seen := map[string]int{}
		var waiting sync.WaitGroup
		for p := range senders {
			via := notify.Store(db)
			if p%2 == 1 {
				via = replica
			}
			waiting.Go(func() {
				// A sender that loses against another gets fewer; then it tries
				// again.
				for range many {
					got, err := via.ClaimMessages(ctx, testkit.Noon, testkit.Noon.Add(time.Hour), 5)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					for _, l := range got {
						seen[l.ID]++
					}
					mu.Unlock()
				}
			})
		}
		waiting.Wait()
		testkit.Equal(t, "messages", len(seen), many)
		for id, n := range seen {
			if n != 1 {
				t.Errorf("message %s has %d senders", id, n)
			}
		}
		testkit.Equal(t, "after the lease of senders that died", len(claim(t, db, testkit.Noon.Add(time.Hour))), many)
	})
}

// A sender that paused for longer than its claim must not extend, postpone or give back what
// another one claimed since: a third one would send it at the same time.
func TestASenderTouchesItsOwnClaimsOnly(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx, later := t.Context(), testkit.Noon.Add(time.Hour)
		testkit.NoError(t, db.Enqueue(ctx, []notify.Message{message("both"), message("mine")}))
		first := claim(t, db, testkit.Noon)
		slices.SortFunc(first, func(a, b notify.Message) int { return strings.Compare(a.ID, b.ID) })
		other := opened(t, db.address)
		second := testkit.Must(other.ClaimMessages(ctx, later, later.Add(15*time.Minute), 1))(t)
		testkit.Equal(t, "second sender", ids(second), "both")

		held := testkit.Must(db.ExtendClaims(ctx, first, later.Add(time.Hour)))(t)
		testkit.Equal(t, "still of the first sender", fmt.Sprint(held), "[mine]")
		testkit.NoError(t, db.ReleaseMessages(ctx, first[:1]))
		testkit.NoError(t, db.Postpone(ctx, first[0], testkit.Noon, "late"))
		testkit.NoError(t, db.GiveUpMessage(ctx, first[0], later, "late", fixture.NewEntry(later, audit.MailFailed, anna)))
		testkit.Equal(t, "for a third sender", ids(claim(t, db, later)), "")
		testkit.Equal(t, "after the second one's claim", ids(claim(t, db, later.Add(15*time.Minute))), "both")
		held = testkit.Must(other.ExtendClaims(ctx, second, later.Add(time.Hour)))(t)
		testkit.Equal(t, "of the second sender", len(held), 0)
	})
}

func TestTheLifeOfAMessage(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		do := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		claimed := map[string]notify.Message{}
		take := func(at time.Time) string {
			got := claim(t, db, at)
			for _, l := range got {
				claimed[l.ID] = l
			}
			return ids(got)
		}
		under := func(ids ...string) (list []notify.Message) {
			for _, id := range ids {
				list = append(list, claimed[id])
			}
			return list
		}
		do(db.Enqueue(ctx, []notify.Message{message("released"), message("later"), message("sent"), message("failed")}))
		testkit.Equal(t, "due", take(testkit.Noon), "failed later released sent")
		testkit.Equal(t, "claimed", take(testkit.Noon), "")
		do(db.ReleaseMessages(ctx, under("released")))
		do(db.Postpone(ctx, claimed["later"], testkit.Noon.Add(time.Hour), "greylisted\x00"))
		held := testkit.Must(db.ExtendClaims(ctx, under("released", "later", "sent"), testkit.Noon.Add(20*time.Minute)))(t)
		testkit.Equal(t, "held", fmt.Sprint(held), "[sent]")
		testkit.Equal(t, "when the first claim is over", take(testkit.Noon.Add(16*time.Minute)), "failed released")
		do(db.ReleaseMessages(ctx, under("released", "failed")))
		testkit.Equal(t, "claimed again", take(testkit.Noon), "failed released")
		do(db.ReleaseMessages(ctx, under("released")))
		do(db.MailServerDown(ctx, testkit.Noon, "down"))
		do(db.MailServerDown(ctx, testkit.Noon.Add(time.Hour), "still down"))
		state := testkit.Must(db.MailState(ctx, 3))(t)
		testkit.Equal(t, "failing since", state.Failing, testkit.Noon)
		testkit.Equal(t, "why", state.Reason, "still down")
		testkit.Equal(t, "waiting, counted to three", state.Waiting, 3)
		testkit.Equal(t, "oldest", state.Oldest, testkit.Noon)
		testkit.Equal(t, "released", take(testkit.Noon), "released")

		do(db.MailServerUp(ctx))
		do(db.MarkSent(ctx, message("sent"), testkit.Noon.Add(time.Minute)))
		e := fixture.NewEntry(testkit.Noon, audit.MailFailed, anna)
		do(db.GiveUpMessage(ctx, claimed["failed"], testkit.Noon.Add(2*time.Minute), "no such user", e))
		// A late result changes nothing, and writes no entry.
		do(db.GiveUpMessage(ctx, claimed["sent"], testkit.Noon.Add(3*time.Minute), "late", e))
		do(db.Postpone(ctx, claimed["failed"], testkit.Noon, "late"))
		do(db.ReleaseMessages(ctx, under("sent", "failed")))
		testkit.Equal(t, "entries", actions(fixture.Entries(t, db)), "[mail.failed]")
		state = testkit.Must(db.MailState(ctx, 10))(t)
		testkit.Equal(t, "failing", state.Failing, time.Time{})
		testkit.Equal(t, "why", state.Reason, "")
		testkit.Equal(t, "sent", state.Sent, testkit.Noon.Add(time.Minute))
		testkit.Equal(t, "waiting", state.Waiting, 2)
		testkit.Equal(t, "failed", state.Failed, 1)
		testkit.Equal(t, "behind", state.Behind, 1)

		failed := testkit.Must(db.FailedMessages(ctx, 10))(t)
		testkit.Equal(t, "failures", len(failed), 1)
		testkit.Equal(t, "failure", failed[0], notify.FailedMessage{
			ID: "failed", Kind: notify.Issued, Person: anna, To: "anna@corp.example", Made: testkit.Noon,
			Closed: testkit.Noon.Add(2 * time.Minute), Tries: 1, Reason: "no such user", Resendable: true,
		})
		again := claim(t, db, testkit.Noon.Add(time.Hour))
		testkit.Equal(t, "due again", ids(again), "later released")
		for _, l := range again {
			if l.ID == "later" {
				testkit.Equal(t, "tries", l.Tries, 1)
			}
		}
		emptied := 0
		err := db.plain.QueryRow("SELECT count(*) FROM letters WHERE id = 'sent' AND facts IS NULL AND recipient IS NULL").Scan(&emptied)
		if err != nil || emptied != 1 {
			t.Errorf("sent messages without content: %d, %v", emptied, err)
		}
		testkit.Equal(t, "forgotten too early", testkit.Must(db.PruneMessages(ctx, testkit.Noon.Add(time.Minute)))(t), 0)
		testkit.Equal(t, "forgotten", testkit.Must(db.PruneMessages(ctx, testkit.Noon.Add(24*time.Hour)))(t), 2)
		testkit.Equal(t, "kept", testkit.Must(db.MailState(ctx, 10))(t).Waiting, 2)
	})
}

// A message is given up with its audit entry or not at all.
func TestAMessageIsNotGivenUpWithoutItsEntry(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		if err := db.Enqueue(t.Context(), []notify.Message{message("l1")}); err != nil {
			t.Fatal(err)
		}
		if _, err := db.plain.Exec("ALTER TABLE ledger RENAME TO elsewhere"); err != nil {
			t.Fatal(err)
		}
		if err := db.GiveUpMessage(t.Context(), message("l1"), testkit.Noon, "why", fixture.NewEntry(testkit.Noon, audit.MailFailed, anna)); err == nil {
			t.Error("given up without the audit log")
		}
		if _, err := db.plain.Exec("ALTER TABLE elsewhere RENAME TO ledger"); err != nil {
			t.Fatal(err)
		}
		testkit.Equal(t, "messages", ids(claim(t, db, testkit.Noon)), "l1")
	})
}

func TestEnding(t *testing.T) {
	const day, life = 24 * time.Hour, 60 * 24 * time.Hour
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		first := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		revoked := fixture.NewEnrolment(t, anna, "lost").Issue(t, db)
		revoke(t, db, portal.Removed, testkit.Noon, revoked.Serial())
		fixture.NewEnrolment(t, anna, "pending").Reserve(t, db)
		other := fixture.NewEnrolment(t, "bob", "Pixel").Issue(t, db)
		end := first.Reservation.NotAfter
		list := func(key string, after, until time.Time, life time.Duration) string {
			t.Helper()
			var names []string
			for _, r := range testkit.Must(db.ExpiringCertificates(ctx, key, after, until, life, 10))(t) {
				names = append(names, r.DeviceName)
				testkit.Equal(t, "end of "+r.DeviceName, r.NotAfter, end)
			}
			slices.Sort(names)
			return strings.Join(names, " ")
		}
		testkit.Equal(t, "all", list("a:", end.Add(-day), end, life), "Pixel iPhone")
		testkit.Equal(t, "too early", list("a:", end.Add(-2*day), end.Add(-day), life), "")
		testkit.Equal(t, "over", list("a:", end, end.Add(day), life), "")
		testkit.Equal(t, "made for a short life", list("a:", end.Add(-day), end, 366*day), "")
		taken := message("l1")
		taken.Key = "a:" + other.Serial().String()
		if err := db.Enqueue(ctx, []notify.Message{taken}); err != nil {
			t.Fatal(err)
		}
		testkit.Equal(t, "without those told", list("a:", end.Add(-day), end, life), "iPhone")
		testkit.Equal(t, "under another key", list("b:", end.Add(-day), end, life), "Pixel iPhone")
		found := testkit.Must(db.ExpiringCertificates(ctx, "a:", end.Add(-day), end, life, 10))(t)[0]
		testkit.Equal(t, "serial", found.Serial, first.Serial().String())
		testkit.Equal(t, "person", found.Person, anna)
		testkit.Equal(t, "device", found.Device, first.Device())
	})
}

func TestLanguages(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		_, err := db.Language(ctx, anna)
		wantError(t, "nobody's language", err, portal.ErrNotFound)
		for _, lang := range []string{"de", "de", "en", "zh-Hans"} {
			if err := db.SetLanguage(ctx, anna, lang); err != nil {
				t.Fatal(err)
			}
			testkit.Equal(t, "language", testkit.Must(db.Language(ctx, anna))(t), lang)
		}
	})
}

// TestAMessageIsSentAgain: one that was given up, with what it said, to the address that
// the person has now.
func TestAMessageIsSentAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		testkit.NoError(t, db.Enqueue(ctx, []notify.Message{message("l1"), message("l2")}))
		before := claim(t, db, testkit.Noon)
		e := fixture.NewEntry(testkit.Noon, audit.MailFailed, anna)
		testkit.NoError(t, db.GiveUpMessage(ctx, before[slices.IndexFunc(before, func(m notify.Message) bool { return m.ID == "l1" })], testkit.Noon, "no such user", e))
		resent := fixture.NewEntry(testkit.Noon, audit.MailResent, "ada")
		for _, id := range []string{"l2", "other", "x\x00"} {
			wantError(t, "resending "+id, db.ResendMessage(ctx, id, "", testkit.Noon, resent), portal.ErrNotFound)
		}
		testkit.NoError(t, db.ResendMessage(ctx, "l1", "new@corp.example", testkit.Noon, resent))
		wantError(t, "twice", db.ResendMessage(ctx, "l1", "", testkit.Noon, resent), portal.ErrNotFound)
		testkit.Equal(t, "failures", len(testkit.Must(db.FailedMessages(ctx, 10))(t)), 0)
		again := claim(t, db, testkit.Noon)
		testkit.Equal(t, "due", ids(again), "l1")
		testkit.Equal(t, "to", again[0].To, "new@corp.example")
		testkit.Equal(t, "tries", again[0].Tries, 0)
		for _, l := range before {
			if l.ID == "l1" && fmt.Sprint(l.Params) != fmt.Sprint(again[0].Params) {
				t.Errorf("it says %v, and before %v", again[0].Params, l.Params)
			}
		}
		testkit.Equal(t, "entries", actions(fixture.Entries(t, db)), "[mail.failed mail.resent]")
	})
}
