package power

import (
	"os"
	"path/filepath"
	"testing"

	"certportal/internal/test/testkit"
)

// A file that was synced survives a power loss, with its name when the folder was; one that was
// not is gone, although it was read back before.
func TestVolumeForgetsWhatWasNotSynced(t *testing.T) {
	if os.Getenv("CERTPORTAL_LONG") == "" {
		t.Skip("needs devices of the kernel: scripts/test long")
	}
	v := NewVolume(t, filepath.Join(t.TempDir(), "disk"))
	kept, lost := filepath.Join(v.Folder, "kept"), filepath.Join(v.Folder, "lost")
	for _, name := range []string{kept, v.Folder} {
		if name == kept {
			testkit.NoError(t, os.WriteFile(kept, []byte("kept"), 0o600))
		}
		f := testkit.Must(os.Open(name))(t)
		testkit.NoError(t, f.Sync())
		testkit.NoError(t, f.Close())
	}
	testkit.NoError(t, os.WriteFile(lost, []byte("lost"), 0o600))
	testkit.Equal(t, "before", string(testkit.Must(os.ReadFile(lost))(t)), "lost")
	killed := false
	v.Cut(LosesAll, func() { killed = true })
	if !killed {
		t.Error("the processes were not killed")
	}
	testkit.Equal(t, "after", string(testkit.Must(os.ReadFile(kept))(t)), "kept")
	if _, err := os.Stat(lost); err == nil {
		t.Error("a file that was not synced survived")
	}
}
