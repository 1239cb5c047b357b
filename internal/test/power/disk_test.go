package power

import (
	"bytes"
	"os"
	"testing"

	"certportal/internal/test/testkit"
)

// What was flushed survives each kind of power loss, and of the rest what the kind says; until
// then the machine reads what it wrote.
func TestDiskForgetsWhatWasNotFlushed(t *testing.T) {
	for name, c := range map[string]struct {
		loss Loss
		kept func(int) bool
	}{
		"all":     {LosesAll, func(n int) bool { return n == 0 }},
		"the end": {LosesTheEnd, func(n int) bool { return n >= 0 && n <= 64 }},
		"some":    {LosesSome, func(n int) bool { return n > 0 && n < 64 }},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDisk(t, 1<<20)
			old, fresh := bytes.Repeat([]byte{1}, 64*sector), bytes.Repeat([]byte{2}, 64*sector)
			testkit.NoError(t, d.write(sector, old))
			testkit.NoError(t, d.flush())
			testkit.NoError(t, d.write(sector, fresh))
			seen := make([]byte, 66*sector)
			testkit.NoError(t, d.read(0, seen))
			if !bytes.Equal(seen[sector:65*sector], fresh) || seen[0] != 0 || seen[65*sector] != 0 {
				t.Error("the machine does not read what it wrote")
			}
			part := make([]byte, sector)
			testkit.NoError(t, d.read(3*sector+100, part))
			if !bytes.Equal(part, fresh[:sector]) {
				t.Error("the machine does not read a part of what it wrote")
			}
			d.lose(c.loss)
			image := testkit.Must(os.ReadFile(d.Path))(t)
			kept := checkSectors(t, image[sector:65*sector], c.loss)
			if !c.kept(kept) || d.Kept != kept || d.Lost != 64-kept {
				t.Errorf("%d sectors were kept, counted %d kept, %d lost", kept, d.Kept, d.Lost)
			}
		})
	}
}

// checkSectors counts the sectors that hold the later write. Each is whole.
func checkSectors(t *testing.T, image []byte, loss Loss) int {
	t.Helper()
	kept, ended := 0, false
	for at := 0; at < len(image); at += sector {
		s := image[at : at+sector]
		if !bytes.Equal(s, bytes.Repeat(s[:1], sector)) || s[0] == 0 {
			t.Errorf("the sector at %d is torn or lost what was flushed", at)
		}
		if s[0] == 1 {
			ended = true
			continue
		}
		kept++
		if ended && loss == LosesTheEnd {
			t.Error("a later write survived an earlier one")
		}
	}
	return kept
}

// Writes beyond the end are refused.
func TestDiskHasAnEnd(t *testing.T) {
	d := newDisk(t, sector)
	if err := d.write(1, make([]byte, sector)); err == nil {
		t.Error("a write beyond the end was taken")
	}
}
