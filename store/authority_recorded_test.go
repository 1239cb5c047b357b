package store_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

func caEntry(action audit.Action, fingerprint string) audit.Entry {
	return audit.Entry{At: testkit.Noon, Action: action, Actor: "system", Role: "system",
		Detail: map[string]string{"root": "aa:aa", "issuing": fingerprint}}
}

func TestRecordedCAs(t *testing.T) {
	other := fixture.NewEntry(testkit.Noon, audit.SignedIn, anna)
	other.Detail = map[string]string{"issuing": "dd:dd"}
	without := caEntry(audit.CACreated, "")
	without.Detail = nil
	onBoth(t, func(t *testing.T, db *database) {
		testkit.Equal(t, "in an empty audit log", len(testkit.Must(db.RecordedCAs(t.Context()))(t)), 0)
		for _, e := range []audit.Entry{without, caEntry(audit.CACreated, "bb:bb"), other, caEntry(audit.CAImported, "cc:cc"), caEntry(audit.CACreated, "")} {
			testkit.NoError(t, db.Note(t.Context(), e))
		}
		testkit.Equal(t, "recorded", strings.Join(testkit.Must(db.RecordedCAs(t.Context()))(t), " "), "bb:bb cc:cc")
	})
}

// Of replicas that record a first CA each at the same time, one succeeds, and it may do so
// again after a crash.
func TestF18_OneFirstCAIsRecorded(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		testkit.NoError(t, db.Note(t.Context(), fixture.NewEntry(testkit.Noon, audit.SignedIn, anna)))
		names := []string{"aa:01", "aa:02", "aa:03", "aa:04", "aa:05", "aa:06"}
		results := make([]error, len(names))
		var recording sync.WaitGroup
		for n, name := range names {
			recording.Go(func() { results[n] = db.RecordFirstCA(t.Context(), caEntry(audit.CACreated, name)) })
		}
		recording.Wait()
		first := testkit.Must(db.RecordedCAs(t.Context()))(t)
		testkit.Equal(t, "CAs", len(first), 1)
		for n, err := range results {
			if won := names[n] == first[0]; won != (err == nil) || !won && !errors.Is(err, portal.ErrConflict) {
				t.Errorf("%s: got %v, recorded is %s", names[n], err, first[0])
			}
		}
		before := len(fixture.Entries(t, db))
		testkit.NoError(t, db.RecordFirstCA(t.Context(), caEntry(audit.CACreated, first[0])))
		wantError(t, "importing another", db.RecordFirstCA(t.Context(), caEntry(audit.CAImported, "bb:bb")), portal.ErrConflict)
		testkit.Equal(t, "entries", len(fixture.Entries(t, db)), before)
	})
}
