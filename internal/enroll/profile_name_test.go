package enroll_test

import (
	"testing"

	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

// TestProfileNames: a profile is named after the person and a place among their devices in
// use, or after the device that the same phone was before.
func TestProfileNames(t *testing.T) {
	p := newPortal(t, func(c *enroll.Config) { c.Quota = 9 })
	enrol := func(form, name string, repeats ...portal.DeviceID) portal.Device {
		t.Helper()
		req := p.request(name, form)
		req.Repeats = repeats
		done := testkit.Must(p.Enroll(t.Context(), req))(t)
		return testkit.Must(p.Device(t.Context(), req.By.Person, done.Device))(t)
	}
	first, second := enrol("1", "one"), enrol("2", "two")
	if first.ProfileName() == second.ProfileName() {
		t.Errorf("two devices in use share profile %s", first.ProfileName())
	}
	if got := enrol("3", "one again", "unknown", first.ID); got.ProfileName() != first.ProfileName() {
		t.Errorf("the same phone: got %s, want %s", got.ProfileName(), first.ProfileName())
	}
	by := p.request("", "").By
	testkit.NoError(t, p.Remove(t.Context(), by, second.ID))
	if got := enrol("4", "two again"); got.ProfileName() != second.ProfileName() {
		t.Errorf("removed and enrolled again: got %s, want %s", got.ProfileName(), second.ProfileName())
	}
	req := p.request("other", "5")
	req.Platform, req.Repeats = portal.IOS, []portal.DeviceID{first.ID}
	done := testkit.Must(p.Enroll(t.Context(), req))(t)
	if got := testkit.Must(p.Device(t.Context(), req.By.Person, done.Device))(t); got.ProfileName() == first.ProfileName() {
		t.Error("a device of another platform has the profile of the phone")
	}
	if old := (portal.Device{ID: "old"}); old.ProfileName() != "old" {
		t.Errorf("a device of before: got %s, want its id", old.ProfileName())
	}
}
