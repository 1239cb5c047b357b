package power

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"certportal/internal/test/daemon"
	"certportal/internal/test/testkit"
)

// sector is what a disk writes whole or not at all.
const sector = 512

// Loss is what happens at a power loss to writes that were not flushed.
type Loss int

// LosesAll keeps none of those writes, LosesTheEnd the sectors before a random one, LosesSome a
// random half of the sectors: a disk orders its writes as it likes.
const (
	LosesAll Loss = iota
	LosesTheEnd
	LosesSome
)

// Disk is a disk with a cache that loses its content with the power. The machine reaches it
// as a network block device. Only the command to flush, which fsync sends, makes writes
// durable.
type Disk struct {
	Path string // image of what is durable

	// Lost and Kept count the sectors that were not flushed, over all power losses.
	Lost, Kept int

	t        testing.TB
	size     int64
	listener net.Listener
	serving  sync.WaitGroup

	mu      sync.Mutex
	image   *os.File
	pending []write // not flushed, the oldest first
}

type write struct {
	offset int64
	data   []byte
}

// newDisk serves an empty disk until the end of the test.
func newDisk(t testing.TB, size int64) *Disk {
	t.Helper()
	d := &Disk{Path: filepath.Join(t.TempDir(), "disk"), t: t, size: size}
	d.image = testkit.Must(os.Create(d.Path))(t)
	testkit.NoError(t, d.image.Truncate(size))
	address := testkit.Must(daemon.FreeAddress())(t)
	d.listener = testkit.Must(net.Listen("tcp", address))(t)
	d.serving.Go(d.accept)
	t.Cleanup(func() {
		_ = d.listener.Close()
		d.serving.Wait()
		_ = d.image.Close()
	})
	return d
}

// address is the disk as QEMU names it.
func (d *Disk) address() string { return "nbd:" + d.listener.Addr().String() }

// accept serves one machine after the other.
func (d *Disk) accept() {
	for {
		conn, err := d.listener.Accept()
		if err != nil {
			return
		}
		d.mu.Lock()
		if err := d.serve(conn); err != nil {
			d.t.Errorf("serving the disk: %v", err)
		}
		d.mu.Unlock()
		_ = conn.Close()
	}
}

// read gives what the machine wrote last, flushed or not.
func (d *Disk) read(offset int64, data []byte) error {
	if _, err := d.image.ReadAt(data, offset); err != nil {
		return err
	}
	for _, w := range d.pending {
		if from := w.offset - offset; from >= 0 && from < int64(len(data)) {
			copy(data[from:], w.data)
		} else if from < 0 && -from < int64(len(w.data)) {
			copy(data, w.data[-from:])
		}
	}
	return nil
}

func (d *Disk) write(offset int64, data []byte) error {
	if offset < 0 || offset+int64(len(data)) > d.size {
		return fmt.Errorf("write of %d octets at %d is beyond the end", len(data), offset)
	}
	d.pending = append(d.pending, write{offset, data})
	return nil
}

// flush makes durable what was written before.
func (d *Disk) flush() error {
	for _, w := range d.pending {
		if _, err := d.image.WriteAt(w.data, w.offset); err != nil {
			return err
		}
	}
	d.pending = nil
	return nil
}

// lose is a power loss. The machine must be off: the call waits until all that it sent is
// read.
func (d *Disk) lose(loss Loss) {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	var sectors []write
	for _, w := range d.pending {
		for at := 0; at < len(w.data); at += sector {
			sectors = append(sectors, write{w.offset + int64(at), w.data[at:min(at+sector, len(w.data))]})
		}
	}
	kept, end := []write(nil), rand.IntN(len(sectors)+1)
	for i, s := range sectors {
		if loss == LosesTheEnd && i < end || loss == LosesSome && rand.IntN(2) == 0 {
			kept = append(kept, s)
		}
	}
	d.Lost, d.Kept = d.Lost+len(sectors)-len(kept), d.Kept+len(kept)
	d.pending = kept
	testkit.NoError(d.t, d.flush())
}
