package backup

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"certportal/internal/test/testkit"
)

// TestPruneKeepsWhatWasMade: after a clock that was wrong, names of a time to come neither
// push out the backup that was just made, nor others.
func TestPruneKeepsWhatWasMade(t *testing.T) {
	name := func(days int) string { return FileName(testkit.Noon.Add(time.Duration(days) * 24 * time.Hour)) }
	for _, tt := range []struct {
		title string
		there []int // days from now
		made  int
		keep  int
		want  []int
	}{
		{"the newest stay", []int{-3, -2, -1, 0}, 0, 2, []int{-1, 0}},
		{"names of a time to come", []int{-3, -2, 0, 300, 301, 302}, 0, 2, []int{-2, 0, 300, 301, 302}},
		{"made under an older name", []int{-300, -2, -1}, -300, 2, []int{-300, -1}},
		{"one", []int{-1, 0}, 0, 1, []int{0}},
		{"fewer", []int{0}, 0, 14, []int{0}},
	} {
		folder := t.TempDir()
		want := []string{"notes.tar.age"}
		testkit.NoError(t, os.WriteFile(filepath.Join(folder, want[0]), nil, 0o600))
		for _, day := range tt.there {
			testkit.NoError(t, os.WriteFile(filepath.Join(folder, name(day)), nil, 0o600))
		}
		for _, day := range tt.want {
			want = append(want, name(day))
		}
		testkit.NoError(t, Prune(filepath.Join(folder, name(tt.made)), tt.keep, testkit.Noon))
		var left []string
		for _, e := range testkit.Must(os.ReadDir(folder))(t) {
			left = append(left, e.Name())
		}
		slices.Sort(want)
		if !slices.Equal(left, want) {
			t.Errorf("%s: left %v, want %v", tt.title, left, want)
		}
	}
}
