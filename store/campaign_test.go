package store_test

import (
	"fmt"
	"testing"
	"time"

	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/notify"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// wave reads the one wave that is due.
func wave(t *testing.T, db *database, now time.Time, people int) notify.Wave {
	t.Helper()
	waves := testkit.Must(db.RecallWaves(t.Context(), now, people))(t)
	if len(waves) != 1 {
		t.Fatalf("got %d waves, want 1", len(waves))
	}
	return waves[0]
}

// A campaign asks each person once, in waves that replicas do not repeat, and only while
// certificates are issued; it ends with the last certificate that is left.
func TestCampaign(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		change := twoAuthorities(t, db)
		var phones []fixture.Enrolment
		for _, person := range []portal.PersonID{"anna", "bob", "carl", "dora"} {
			phones = append(phones, enrolled(t, db, "issuing", person, "iPhone"))
		}
		enrolled(t, db, "issuing", "bob", "iPad")
		gone := enrolled(t, db, "issuing", "emil", "Pixel")
		revoke(t, db, portal.Lost, testkit.Noon, gone.Serial())
		now := testkit.Noon.Add(time.Minute)
		revokeAuthority(t, db, revocationOf("issuing", now))
		testkit.Equal(t, "waves before another CA issues", len(testkit.Must(db.RecallWaves(ctx, now, 10))(t)), 0)
		change()
		renewed := phones[0].Renewal(t) // before the first mail
		renewed.Reservation.Issuer = "issuing-2"
		renewed.Issue(t, db)

		first := wave(t, db, now, 2)
		testkit.Equal(t, "first wave", fmt.Sprint(first.Devices[0].Person, " ", len(first.Devices), " ", first.To), "bob 3 carl")
		testkit.NoError(t, db.EnqueueWave(ctx, first, nil, now.Add(time.Hour)))
		wantError(t, "the same by a replica", db.EnqueueWave(ctx, first, nil, now.Add(time.Hour)), portal.ErrConflict)
		testkit.Equal(t, "waves within the hour", len(testkit.Must(db.RecallWaves(ctx, now.Add(time.Hour-1), 10))(t)), 0)
		halt := admin.Halt{Reason: "We move", Actor: "ada", Since: now}
		testkit.Must(db.SetHalt(ctx, halt, fixture.NewEntry(now, audit.IssuingHalted, "")))(t)
		later := now.Add(time.Hour)
		testkit.Equal(t, "waves while issuing is stopped", len(testkit.Must(db.RecallWaves(ctx, later, 10))(t)), 0)
		testkit.Must(db.SetHalt(ctx, admin.Halt{}, fixture.NewEntry(now, audit.IssuingHalted, "")))(t)

		want := admin.Campaign{Authority: "issuing", Began: now, Devices: 5, Left: 4, ToGo: 1}
		testkit.Equal(t, "progress", testkit.Must(db.Campaigns(ctx, now, now))(t)[0], want)
		second := wave(t, db, later, 10)
		testkit.Equal(t, "second wave", fmt.Sprint(len(second.Devices), second.Devices[0].Person), "1dora")
		message := notify.Message{ID: "m", Key: "recalled:issuing:dora", Kind: notify.Recalled, Person: "dora", To: "dora@corp.example", Language: "en", Made: later}
		testkit.NoError(t, db.EnqueueWave(ctx, second, []notify.Message{message}, later))
		testkit.Equal(t, "waves after the last", len(testkit.Must(db.RecallWaves(ctx, later, 10))(t)), 0)

		testkit.Equal(t, "ended early", testkit.Must(db.EndCampaigns(ctx, later))(t), 0)
		over := phones[1].Reservation.NotAfter
		testkit.Equal(t, "ended", testkit.Must(db.EndCampaigns(ctx, over))(t), 1)
		testkit.Equal(t, "ended again", testkit.Must(db.EndCampaigns(ctx, over))(t), 0)
		testkit.Equal(t, "entries", len(fixture.EntriesOf(t, db, audit.CampaignEnded)), 1)
		got := testkit.Must(db.Campaigns(ctx, over, over.Add(-time.Hour)))(t)[0]
		testkit.Equal(t, "at the end", fmt.Sprint(got.Left, got.Mailed, got.ToGo, got.Ended.Equal(over)), "0 1 0 true")
		testkit.Equal(t, "long after", len(testkit.Must(db.Campaigns(ctx, over, over))(t)), 0)
	})
}

// A CA without a certificate in use needs no campaign.
func TestNoCampaignWithoutHolders(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		twoAuthorities(t, db)
		revokeAuthority(t, db, revocationOf("issuing", testkit.Noon))
		testkit.Equal(t, "campaigns", len(testkit.Must(db.Campaigns(t.Context(), testkit.Noon, testkit.Noon))(t)), 0)
	})
}
