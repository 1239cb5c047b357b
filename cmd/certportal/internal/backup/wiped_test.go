package backup

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"slices"
	"testing"
	"time"

	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store/sqldb"
)

// random is what no page of a database holds by chance.
func random(size int) []byte {
	b := make([]byte, size)
	rand.Read(b)
	return b
}

// content is all that a backup has in the clear, one file after the other.
func content(t *testing.T, i *installation, file string) []byte {
	t.Helper()
	var all bytes.Buffer
	read := func(from io.Reader) (int64, error) {
		before := bytes.Count(all.Bytes(), []byte("\n"))
		_, err := io.Copy(&all, from)
		return int64(bytes.Count(all.Bytes(), []byte("\n")) - before), err
	}
	_, err := unpack(file, i.key, func(Header) sink {
		return sink{
			file:  func(_ string, r io.Reader) error { _, err := read(r); return err },
			table: func(_ string, r io.Reader) (int64, error) { return read(r) },
		}
	})
	testkit.NoError(t, err)
	return all.Bytes()
}

// TestF15_BackupHasNoKeyThatWaits: keys of people that the portal wipes, passwords of files
// and sessions are in no backup, neither in rows nor on free pages, also where one is longer
// than a page.
func TestF15_BackupHasNoKeyThatWaits(t *testing.T) {
	onBoth(t, func(t *testing.T, i *installation) {
		ctx := t.Context()
		secrets := make(map[string][]byte)
		var kept [][]byte
		for n, size := range []int{40, 1500, 9000} {
			e := fixture.NewEnrolment(t, "anna", "Phone "+string(rune('A'+n)))
			e.Completion.Pickup.Key, e.Completion.Pickup.Password = random(size), random(40)
			e.Issue(t, i.DB)
			session := [32]byte(random(32))
			data, waits := random(size), random(size)
			testkit.NoError(t, i.DB.SaveSession(ctx, session, "anna", data, time.Hour, testkit.Noon.Add(time.Hour), testkit.Noon))
			number := string(rune('a' + n))
			testkit.NoError(t, i.DB.Write(ctx, time.Minute, "waiting", func(ctx context.Context, tx *sqldb.Tx) error {
				_, err := tx.Exec(ctx, `INSERT INTO upstream_requests (number, authority, csr, state, sealed_key, sent_at)
					VALUES ($1, 'upstream-company', $2, 'pending', $3, 0)`, number, []byte("csr"), waits)
				return err
			}))
			secrets["key "+number], secrets["password "+number] = e.Completion.Pickup.Key, e.Completion.Pickup.Password
			secrets["session "+number], secrets["key of a request "+number] = data, waits
			kept = append(kept, e.TokenHash[:], session[:])
		}
		all := content(t, i, i.backup(t))
		has := func(secret []byte) bool {
			for part := range slices.Chunk(secret, 20) {
				if bytes.Contains(all, part) || bytes.Contains(all, []byte(hex.EncodeToString(part))) {
					return true
				}
			}
			return false
		}
		for _, hash := range kept {
			if !has(hash) {
				t.Error("the row of a pickup or session is not found in the backup: the search is of no use")
			}
		}
		for what, secret := range secrets {
			if has(secret) {
				t.Errorf("the backup has the %s", what)
			}
		}
	})
}
