package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

const anna portal.PersonID = "anna"

func revoke(t testing.TB, db enroll.Store, cause portal.Cause, at time.Time, serials ...ca.Serial) []ca.Serial {
	t.Helper()
	ended, err := db.Revoke(context.Background(), enroll.Revocation{
		Serials: serials, Cause: cause, At: at, Entry: fixture.NewEntry(testkit.Noon, "", "admin"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return ended
}

func wantError(t testing.TB, doing string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got error %v, want %v", doing, got, want)
	}
}

func wantRefusal(t testing.TB, got error, reason portal.Reason) {
	t.Helper()
	var refusal *portal.Refusal
	if !errors.As(got, &refusal) || refusal.Reason != reason {
		t.Errorf("got error %v, want refusal %s", got, reason)
	}
}

// sameBytes compares bytes, and distinguishes nil from empty.
func sameBytes(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if (got == nil) != (want == nil) || !bytes.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func actions(all []audit.Entry) string {
	var list []string
	for _, e := range all {
		list = append(list, string(e.Action))
	}
	return fmt.Sprint(list)
}

// newest reads the newest certificate of a device.
func newest(t testing.TB, db *database, e fixture.Enrolment) portal.Certificate {
	t.Helper()
	return testkit.Must(db.Device(context.Background(), e.Reservation.Person, e.Device()))(t).Certificate
}
