package web_test

import (
	"bytes"
	"mime"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestDeadLinks holds that each end of a link has its own sentence, and that no
// button leads where there is nothing to do.
func TestDeadLinks(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name             string
		end              func(f file)
		owner, anonymous string // what the pages say
		button           bool   // the owner's page leads to the device
	}{
		{"replaced", func(f file) { f.owner.post(f.device+"/install", "request", "new") },
			"replaced by a newer one", "replaced by a newer one", true},
		{"removed", func(f file) { f.owner.post(f.device + "/remove") },
			"This device was removed", "This device was removed", false},
		{"run out", func(f file) { f.anonymous.get(f.href); f.sweep() },
			"This link has run out", "This link has run out", true},
		{"never fetched", func(f file) { f.sweep() },
			"This link has run out", "This link has run out", true},
		{"replaced, then removed", func(f file) {
			f.owner.post(f.device+"/install", "request", "new")
			f.owner.post(f.device + "/remove")
		}, "This device was removed", "This device was removed", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFile(t, "ios")
			tt.end(f)
			// The sweep comes when the first session is idle long since.
			owner, anonymous := f.signedIn("anna", iPhone).get(f.href), f.anonymous.get(f.href)
			if owner.status != 410 || !strings.Contains(owner.text(), tt.owner) {
				t.Errorf("owner: got %d, want %q: %s", owner.status, tt.owner, owner.text())
			}
			if anonymous.status != 410 || !strings.Contains(anonymous.text(), tt.anonymous) {
				t.Errorf("stranger: got %d, want %q: %s", anonymous.status, tt.anonymous, anonymous.text())
			}
			if got := bytes.Contains(owner.body, []byte(f.device)); got != tt.button {
				t.Errorf("owner: link to the device: got %v, want %v", got, tt.button)
			}
			if bytes.Contains(anonymous.body, []byte(f.device)) {
				t.Error("the stranger's page names the device")
			}
		})
	}
}

// TestLinuxCommand runs the commands of the page in a shell: they name the file as the
// browser saves it, for any device name.
func TestLinuxCommand(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("sh"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("no shell: ", err)
	}
	p := newPortal(t)
	b := p.signedIn("anna", linux)
	names := []string{"laptop", "Anna's Linux computer", "Büro 📱 手机", "$(id) `id` ${HOME} !x; id & ~ #"}
	for i, name := range names {
		device := b.enrol(name, "linux")
		page := b.get(device + "/install")
		href, _ := b.download(device)
		_, params, err := mime.ParseMediaType(b.get(href).header.Get("Content-Disposition"))
		if err != nil {
			t.Fatal(err)
		}
		saved := params["filename"] // of filename*, as browsers prefer it
		for _, id := range []string{"cmd-browser", "cmd-wifi"} {
			node := page.id(id)
			if node == nil {
				t.Fatalf("the page has no %s: %s", id, page.text())
			}
			program, arguments, _ := strings.Cut(nodeText(node), " ")
			out, err := exec.CommandContext(t.Context(), "sh", "-c", "for a in "+arguments+`; do last=$a; done; printf %s "$last"`).Output()
			if err != nil {
				t.Fatalf("%s %s: %v", program, arguments, err)
			}
			if got := filepath.Base(string(out)); got != saved {
				t.Errorf("%s of device %d: names %q, the browser saves %q", program, i, got, saved)
			}
		}
	}
}
