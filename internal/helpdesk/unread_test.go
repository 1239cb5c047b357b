package helpdesk_test

import (
	"testing"

	"certportal/internal/helpdesk"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

// TestF_UnreadableAccountAtTheHelpdesk: an account that cannot be read is found, named and
// shown with its devices, gets no code, and leaves the others alone.
func TestF_UnreadableAccountAtTheHelpdesk(t *testing.T) {
	h := newHelpdesk(t)
	h.device(h.anna, "Phone of the reception")
	h.device(h.hedi, "Phone of the cellar")
	h.people.hidden = h.anna.ID
	for query, want := range map[string]struct{ read, unread string }{
		"a":        {},
		"ad":       {"Ada King", ""},
		"anna":     {"", "Anna Schmidt"},
		"phone of": {"Hedi Help", "Anna Schmidt"},
	} {
		found, _, err := h.service.Find(t.Context(), as(h.hugo), query)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		var read, unread string
		for _, m := range found {
			if m.Unread {
				unread = m.Person.Name
				continue
			}
			if read == "" {
				read = m.Person.Name
			}
		}
		if read != want.read || unread != want.unread {
			t.Errorf("%s: found %q and unreadable %q, want %q and %q", query, read, unread, want.read, want.unread)
		}
	}

	d := testkit.Must(h.service.PersonDetails(t.Context(), as(h.hugo), h.anna.ID))(t)
	if d.Refusal == nil || d.Refusal.Reason != portal.EntryUnread || len(d.Devices) != 1 {
		t.Errorf("details have refusal %v and %d devices, want %s and 1", d.Refusal, len(d.Devices), portal.EntryUnread)
	}
	testkit.Equal(t, "code", d.InviteDenied, helpdesk.ReasonUnread)
	testkit.Equal(t, "block", d.BlockDenied, helpdesk.ReasonUnread)
	_, _, err := h.service.Invite(t.Context(), as(h.hugo), order(h.anna))
	wantDenied(t, err, helpdesk.ReasonUnread)
}
