package ca_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"

	"certportal/ca"
	"certportal/internal/test/testkit"
)

// The variables that make TestF2_NoSerialTwice a process that draws serials.
const (
	serialsTo    = "SERIALS_TO"
	serialsCount = "SERIALS_COUNT"
)

// octetsOfSerial is the length of every serial.
const octetsOfSerial = 17

// TestF2_NoSerialTwice has four processes draw 200,000 serials, 10,000,000 in long tests: all
// are positive, of 17 octets with all random bits in use, and no two are equal.
func TestF2_NoSerialTwice(t *testing.T) {
	if path := os.Getenv(serialsTo); path != "" {
		drawSerials(t, path)
		return
	}
	const processes = 4
	count := testkit.Either(t, 200_000, 10_000_000)
	folder := t.TempDir()
	var all sync.WaitGroup
	for n := range processes {
		all.Go(func() {
			cmd := exec.Command(os.Args[0], "-test.run=^TestF2_NoSerialTwice$")
			cmd.Env = append(os.Environ(), serialsTo+"="+filepath.Join(folder, strconv.Itoa(n)), serialsCount+"="+strconv.Itoa(count/processes))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("process %d: %v\n%s", n, err, out)
			}
		})
	}
	all.Wait()
	serials := make([][octetsOfSerial]byte, 0, count)
	for n := range processes {
		content := testkit.Must(os.ReadFile(filepath.Join(folder, strconv.Itoa(n))))(t)
		for octets := range slices.Chunk(content, octetsOfSerial) {
			serials = append(serials, [octetsOfSerial]byte(octets))
		}
	}
	testkit.Equal(t, "serials", len(serials), count)
	checkSerials(t, serials)
}

func checkSerials(t *testing.T, serials [][octetsOfSerial]byte) {
	var ones [8 * octetsOfSerial]int
	slices.SortFunc(serials, func(a, b [octetsOfSerial]byte) int { return bytes.Compare(a[:], b[:]) })
	for i, s := range serials {
		if s[0]>>6 != 1 {
			t.Fatalf("%x is not positive, or shorter than others", s)
		}
		if i > 0 && s == serials[i-1] {
			t.Fatalf("%x was drawn twice", s)
		}
		for bit := range ones {
			ones[bit] += int(s[bit/8] >> (7 - bit%8) & 1)
		}
	}
	// The first two bits are fixed; each of the others is set in half of the serials. With six
	// standard deviations it is not by chance.
	for bit, n := range ones[2:] {
		if off := n - len(serials)/2; 4*off*off > 36*len(serials) {
			t.Errorf("bit %d is set in %d of %d serials", bit+2, n, len(serials))
		}
	}
}

// drawSerials writes serials one after another.
func drawSerials(t *testing.T, path string) {
	file := testkit.Must(os.Create(path))(t)
	w := bufio.NewWriter(file)
	for range testkit.Must(strconv.Atoi(os.Getenv(serialsCount)))(t) {
		testkit.NoError(t, drawSerial(w))
	}
	testkit.NoError(t, w.Flush())
	testkit.NoError(t, file.Close())
}

func drawSerial(w io.Writer) error {
	s, err := ca.NewSerial(nil)
	if err != nil {
		return err
	}
	octets := s.Big().Bytes()
	if len(octets) != octetsOfSerial {
		return fmt.Errorf("%s has %d octets", s, len(octets))
	}
	_, err = w.Write(octets)
	return err
}
