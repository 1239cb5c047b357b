package enroll_test

import (
	"fmt"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit/fixture"
)

// TestA17_RenamesFillNoDisk renames a device without end.
func TestA17_RenamesFillNoDisk(t *testing.T) {
	p := newPortal(t)
	device, err := p.Enroll(t.Context(), p.request("Phone", "one"))
	if err != nil {
		t.Fatal(err)
	}
	rename := func(n int) error { return p.Rename(t.Context(), p.actor(), device.Device, fmt.Sprint("Phone ", n)) }
	for n := range enroll.RenamesPerHour {
		if err := rename(n); err != nil {
			t.Fatal(err)
		}
	}
	wantRefusal(t, rename(99), portal.RenamedOften)
	if got := fixture.Count(p.Entries(), audit.DeviceRenamed); got != enroll.RenamesPerHour {
		t.Errorf("%d entries, want %d", got, enroll.RenamesPerHour)
	}
	p.Clock.Advance(time.Hour)
	if err := rename(100); err != nil {
		t.Errorf("an hour later: %v", err)
	}
}
