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
	"certportal/store"
)

var _ notify.Store = (*store.DB)(nil)

// letter is one to anna, made at noon.
func letter(id string) notify.Message {
	return notify.Message{
		ID: id, Key: "about " + id, Kind: notify.Issued, Person: anna, To: "anna@corp.example", Language: "de", Made: noon,
		Params: notify.Params{
			Name: "Änna \x00 \"<b>\u2028", Devices: []string{"iPhone", ""}, Device: "d1", At: noon, Until: noon.Add(time.Hour),
			Days: 3, Cause: portal.Lost, People: []notify.Mismatch{{UPN: "bob@corp.example", Change: "upn"}}, More: 2,
		},
	}
}

func claim(t testing.TB, db notify.Store, now time.Time) []notify.Message {
	t.Helper()
	return must[[]notify.Message](t)(db.ClaimMessages(t.Context(), now, now.Add(15*time.Minute), 100))
}

func ids(letters []notify.Message) string {
	var list []string
	for _, l := range letters {
		list = append(list, l.ID)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func TestHappenings(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		if err := db.SetLanguage(ctx, anna, "zh-Hans"); err != nil {
			t.Fatal(err)
		}
		e := issue(t, db, request(t, anna, "Änna's <iPhone>"))
		if err := db.Note(ctx, entry(audit.SignedIn, "bob")); err != nil {
			t.Fatal(err)
		}
		after, found, err := db.MailEvents(ctx, 10)
		if err != nil || after != 0 || len(found) != 3 {
			t.Fatalf("got %d entries after %d, %v", len(found), after, err)
		}
		h := found[1]
		equal(t, "action", h.Action, audit.CertificateIssued)
		equal(t, "number", h.Seq, 2)
		equal(t, "moment", h.At, noon)
		equal(t, "language", h.Language, "zh-Hans")
		equal(t, "device", h.Device, e.device())
		equal(t, "name", h.DeviceName, "Änna's <iPhone>")
		equal(t, "end", h.NotAfter, e.reservation.NotAfter)
		equal(t, "request", h.Request, "r1")
		equal(t, "detail", h.Detail["profile"], "User")
		equal(t, "device of a sign-in", found[2].Device, "")
		if err := db.EnqueueFrom(ctx, 0, 2, nil); err != nil {
			t.Fatal(err)
		}
		after, found, err = db.MailEvents(ctx, 10)
		if err != nil || after != 2 || len(found) != 1 {
			t.Fatalf("got %d entries after %d, %v", len(found), after, err)
		}
	})
}

// An entry that nobody can read any more keeps no letter back.
func TestA19_ATamperedEntryKeepsNoLetterBack(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		for range 3 {
			if err := db.Note(t.Context(), entry(audit.LogBroken, "")); err != nil {
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
		equal(t, "action", found[1].Action, audit.LogBroken)
		equal(t, "details", len(found[1].Detail), 0)
	})
}

// A renewal is told apart from a certificate for a new device.
func TestHappeningsTellRenewals(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		old := fetched(t, db, issue(t, db, request(t, anna, "iPhone")))
		next := issue(t, db, old.renewal(t, late(old)))
		_, found, err := db.MailEvents(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range found {
			if h.Action == audit.CertificateIssued {
				equal(t, "renewal "+h.Object, h.Renewal, h.Object == next.serial().String())
			}
		}
	})
}

// What happened before there was mail is nobody's news.
func TestLettersBeginAtTheEndOfTheLedger(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			address := engine.address(t)
			plain := plainly(t, engine.driver, address)
			if _, err := migrations(t, engine.dialect, plain).UpTo(t.Context(), 8); err != nil {
				t.Fatal(err)
			}
			if _, err := plain.Exec("UPDATE ledger_head SET seq = 1234567"); err != nil {
				t.Fatal(err)
			}
			after, found, err := opened(t, address).MailEvents(t.Context(), 10)
			if err != nil || after != 1234567 || len(found) != 0 {
				t.Errorf("got %d entries after %d, %v", len(found), after, err)
			}
		})
	}
}

// Clerk and ledger move together, and of two clerks one.
func TestPostIsOneTransactionOfOneClerk(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		const clerks = 4
		outcomes := make(chan error, clerks)
		for n := range clerks {
			go func() { outcomes <- db.EnqueueFrom(ctx, 0, 5, []notify.Message{letter(fmt.Sprint("l", n))}) }()
		}
		won := 0
		for range clerks {
			err := <-outcomes
			if err == nil {
				won++
				continue
			}
			wantError(t, "the slower clerk", err, portal.ErrConflict)
		}
		equal(t, "clerks that posted", won, 1)
		equal(t, "letters", len(claim(t, db, noon)), 1)
		// A letter that cannot be written leaves the place where it was.
		bad := letter("bad")
		bad.ID = ""
		if err := db.EnqueueFrom(ctx, 5, 9, []notify.Message{letter("good"), bad}); err == nil {
			t.Error("a letter without an id was posted")
		}
		after, _, err := db.MailEvents(ctx, 1)
		if err != nil || after != 5 {
			t.Errorf("the clerk is at %d, %v", after, err)
		}
		equal(t, "letters", len(claim(t, db, noon)), 0)
	})
}

func TestALetterComesBackAsItWas(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		want := letter("l1")
		if err := db.Enqueue(t.Context(), []notify.Message{want}); err != nil {
			t.Fatal(err)
		}
		got := claim(t, db, noon)
		if len(got) != 1 || fmt.Sprintf("%+v", got[0]) != fmt.Sprintf("%+v", want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestAKeyIsTakenOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		second := letter("l2")
		second.Key = letter("l1").Key
		void := letter("l3")
		void.To = ""
		after := letter("l4")
		after.Key = void.Key
		for _, batch := range [][]notify.Message{{letter("l1"), second}, {second}, {void}, {after}} {
			if err := db.Enqueue(ctx, batch); err != nil {
				t.Fatal(err)
			}
		}
		equal(t, "letters", ids(claim(t, db, noon)), "l1")
		equal(t, "failed", must[notify.State](t)(db.MailState(ctx, 10)).Failed, 0)
	})
}

// Every letter has one postman at a time, on all replicas together.
func TestEveryLetterHasOnePostman(t *testing.T) {
	const many, postmen = 60, 6
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		var letters []notify.Message
		for n := range many {
			letters = append(letters, letter(fmt.Sprint("l", n)))
		}
		if err := db.Enqueue(ctx, letters); err != nil {
			t.Fatal(err)
		}
		replica := opened(t, db.address)
		var mu sync.Mutex
		seen := map[string]int{}
		var waiting sync.WaitGroup
		for p := range postmen {
			via := notify.Store(db)
			if p%2 == 1 {
				via = replica
			}
			waiting.Go(func() {
				// A postman who loses against another gets fewer; then he comes again.
				for range many {
					got, err := via.ClaimMessages(ctx, noon, noon.Add(time.Hour), 5)
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
		equal(t, "letters", len(seen), many)
		for id, n := range seen {
			if n != 1 {
				t.Errorf("letter %s has %d postmen", id, n)
			}
		}
		equal(t, "after the lease of postmen that died", len(claim(t, db, noon.Add(time.Hour))), many)
	})
}

func TestTheLifeOfALetter(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		do := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		do(db.Enqueue(ctx, []notify.Message{letter("released"), letter("later"), letter("sent"), letter("failed")}))
		equal(t, "due", ids(claim(t, db, noon)), "failed later released sent")
		equal(t, "claimed", ids(claim(t, db, noon)), "")
		do(db.ReleaseMessages(ctx, []notify.Message{letter("released")}))
		do(db.Postpone(ctx, letter("later"), noon.Add(time.Hour), "greylisted\x00"))
		do(db.MailServerDown(ctx, noon, "down"))
		do(db.MailServerDown(ctx, noon.Add(time.Hour), "still down"))
		state := must[notify.State](t)(db.MailState(ctx, 3))
		equal(t, "failing since", state.Failing, noon)
		equal(t, "why", state.Reason, "still down")
		equal(t, "waiting, counted to three", state.Waiting, 3)
		equal(t, "oldest", state.Oldest, noon)
		equal(t, "released", ids(claim(t, db, noon)), "released")

		do(db.MailServerUp(ctx))
		do(db.MarkSent(ctx, letter("sent"), noon.Add(time.Minute)))
		e := entry(audit.MailFailed, anna)
		do(db.GiveUpMessage(ctx, letter("failed"), noon.Add(2*time.Minute), "no such user", e))
		// Whoever comes late changes nothing, and writes no entry.
		do(db.GiveUpMessage(ctx, letter("sent"), noon.Add(3*time.Minute), "late", e))
		do(db.Postpone(ctx, letter("failed"), noon, "late"))
		do(db.ReleaseMessages(ctx, []notify.Message{letter("sent"), letter("failed")}))
		equal(t, "entries", actions(entries(t, db)), "[mail.failed]")
		state = must[notify.State](t)(db.MailState(ctx, 10))
		equal(t, "failing", state.Failing, time.Time{})
		equal(t, "why", state.Reason, "")
		equal(t, "sent", state.Sent, noon.Add(time.Minute))
		equal(t, "waiting", state.Waiting, 2)
		equal(t, "failed", state.Failed, 1)
		equal(t, "behind", state.Behind, 1)

		failed := must[[]notify.FailedMessage](t)(db.FailedMessages(ctx, 10))
		equal(t, "failures", len(failed), 1)
		equal(t, "failure", failed[0], notify.FailedMessage{
			ID: "failed", Kind: notify.Issued, Person: anna, To: "anna@corp.example", Made: noon,
			Closed: noon.Add(2 * time.Minute), Tries: 1, Reason: "no such user",
		})
		again := claim(t, db, noon.Add(time.Hour))
		equal(t, "due again", ids(again), "later released")
		for _, l := range again {
			if l.ID == "later" {
				equal(t, "tries", l.Tries, 1)
			}
		}
		emptied := 0
		err := db.plain.QueryRow("SELECT count(*) FROM letters WHERE id = 'sent' AND facts IS NULL AND recipient IS NULL").Scan(&emptied)
		if err != nil || emptied != 1 {
			t.Errorf("sent letters without content: %d, %v", emptied, err)
		}
		equal(t, "forgotten too early", must[int](t)(db.PruneMessages(ctx, noon.Add(time.Minute))), 0)
		equal(t, "forgotten", must[int](t)(db.PruneMessages(ctx, noon.Add(24*time.Hour))), 2)
		equal(t, "kept", must[notify.State](t)(db.MailState(ctx, 10)).Waiting, 2)
	})
}

// A letter is given up with its ledger entry or not at all.
func TestALetterIsNotGivenUpWithoutTheLedger(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		if err := db.Enqueue(t.Context(), []notify.Message{letter("l1")}); err != nil {
			t.Fatal(err)
		}
		if _, err := db.plain.Exec("ALTER TABLE ledger RENAME TO elsewhere"); err != nil {
			t.Fatal(err)
		}
		if err := db.GiveUpMessage(t.Context(), letter("l1"), noon, "why", entry(audit.MailFailed, anna)); err == nil {
			t.Error("given up without the ledger")
		}
		if _, err := db.plain.Exec("ALTER TABLE elsewhere RENAME TO ledger"); err != nil {
			t.Fatal(err)
		}
		equal(t, "letters", ids(claim(t, db, noon)), "l1")
	})
}

func TestEnding(t *testing.T) {
	const day, life = 24 * time.Hour, 60 * 24 * time.Hour
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		first := issue(t, db, request(t, anna, "iPhone"))
		revoked := issue(t, db, request(t, anna, "lost"))
		revoke(t, db, portal.Removed, noon, revoked.serial())
		reserve(t, db, request(t, anna, "pending"))
		other := issue(t, db, request(t, "bob", "Pixel"))
		end := first.reservation.NotAfter
		list := func(key string, after, until time.Time, life time.Duration) string {
			t.Helper()
			var names []string
			for _, r := range must[[]notify.ExpiringCertificate](t)(db.ExpiringCertificates(ctx, key, after, until, life, 10)) {
				names = append(names, r.DeviceName)
				equal(t, "end of "+r.DeviceName, r.NotAfter, end)
			}
			slices.Sort(names)
			return strings.Join(names, " ")
		}
		equal(t, "all", list("a:", end.Add(-day), end, life), "Pixel iPhone")
		equal(t, "too early", list("a:", end.Add(-2*day), end.Add(-day), life), "")
		equal(t, "over", list("a:", end, end.Add(day), life), "")
		equal(t, "made for a short life", list("a:", end.Add(-day), end, 366*day), "")
		taken := letter("l1")
		taken.Key = "a:" + other.serial().String()
		if err := db.Enqueue(ctx, []notify.Message{taken}); err != nil {
			t.Fatal(err)
		}
		equal(t, "without those told", list("a:", end.Add(-day), end, life), "iPhone")
		equal(t, "under another key", list("b:", end.Add(-day), end, life), "Pixel iPhone")
		found := must[[]notify.ExpiringCertificate](t)(db.ExpiringCertificates(ctx, "a:", end.Add(-day), end, life, 10))[0]
		equal(t, "serial", found.Serial, first.serial().String())
		equal(t, "person", found.Person, anna)
		equal(t, "device", found.Device, first.device())
	})
}

func TestLanguages(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		_, err := db.Language(ctx, anna)
		wantError(t, "nobody's language", err, portal.ErrNotFound)
		for _, lang := range []string{"de", "de", "en", "zh-Hans"} {
			if err := db.SetLanguage(ctx, anna, lang); err != nil {
				t.Fatal(err)
			}
			equal(t, "language", must[string](t)(db.Language(ctx, anna)), lang)
		}
	})
}
