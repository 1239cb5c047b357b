package crl

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"certportal/ca"
	"certportal/internal/durable"
)

// Folder is a target: a folder that a web server or a file share serves. Its files
// are root.crl, issuing.crl and issuing-delta.crl, whole at any time, and never
// replaced by a list of a lower number.
type Folder struct {
	Path string

	// Signers are the CA certificates under the names of their lists' issuers: what
	// they have not signed is replaced, and is no record of anything.
	Signers map[string]*x509.Certificate
}

// Name tells the folder.
func (f *Folder) Name() string { return f.Path }

// extension of the files, as in the addresses.
const extension = ".crl"

// abandonedAfter is the age at which a temporary file is taken for one that a killed
// process left.
const abandonedAfter = time.Hour

// errBusyFolder says that somebody else writes.
var errBusyFolder = errors.New("another portal is writing into it")

// Put writes a list beside the one that is there, and puts it in its place when it is
// on disk, so that whoever reads finds a whole list at any moment.
func (f *Folder) Put(ctx context.Context, l List) (int64, error) {
	folder, err := os.Open(f.Path)
	if err != nil {
		return 0, fmt.Errorf("opening folder: %w", err)
	}
	defer folder.Close()
	if err := lockFolder(ctx, folder); err != nil {
		return 0, err
	}
	name := listName(l.Issuer, l.Base > 0)
	there, err := f.read(name, l.Issuer)
	if err != nil {
		return 0, err
	}
	if there != nil && there.number >= l.Number {
		return there.number, nil
	}
	durable.RemoveTemporary(f.Path, abandonedAfter)
	// Whoever serves the folder must read the file.
	if err := durable.Replace(filepath.Join(f.Path, name+extension), l.DER, 0o644); err != nil {
		return 0, fmt.Errorf("writing list %d: %w", l.Number, err)
	}
	return l.Number, nil
}

// enter waits until nobody else writes into the folder: between the look at what is
// there and its replacement no later list may come in. On a file share without locks
// the portal with the newer list sets it right a second later.
func lockFolder(ctx context.Context, folder *os.File) error {
	ctx, cancel := context.WithTimeout(ctx, busyPatience)
	defer cancel()
	for errors.Is(durable.Lock(folder), durable.ErrLocked) {
		select {
		case <-ctx.Done():
			return errBusyFolder
		case <-time.After(busyPatience / 100):
		}
	}
	return nil
}

// listFile is a list that stands in a folder.
type listFile struct {
	*ca.PublishedCRL
	number int64
}

// maxFile bounds what is read: a list of ten million entries.
const maxFile = 512 << 20

// read gives the list that stands there; nil when there is none, or none of ours.
func (f *Folder) read(name, issuer string) (*listFile, error) {
	path := filepath.Join(f.Path, name+extension)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && (!info.Mode().IsRegular() || info.Size() > maxFile) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking at list: %w", err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading list: %w", err)
	}
	signer := f.Signers[issuer]
	if signer == nil {
		return nil, fmt.Errorf("reading list: there is no certificate of %q to verify it", issuer)
	}
	crl, err := ca.ReadCRL(raw, signer)
	if err != nil || !crl.Number.Big().IsInt64() {
		return nil, nil
	}
	return &listFile{crl, crl.Number.Big().Int64()}, nil
}

// Recover reads the lists that stand in the folder as what they are: records of
// revocations. Where one is ahead of the store, the store was restored from an older
// copy, and all that is in the list is replayed. It returns how many certificates were
// brought back.
func (f *Folder) Recover(ctx context.Context, store Store, now time.Time) (int, error) {
	brought := 0
	for issuer := range f.Signers {
		for _, delta := range []bool{false, true} {
			n, err := f.recover(ctx, issuer, delta, store, now)
			brought += n
			if err != nil {
				return brought, fmt.Errorf("recalling what %s tells: %w", filepath.Join(f.Path, listName(issuer, delta)+extension), err)
			}
		}
	}
	return brought, nil
}

func (f *Folder) recover(ctx context.Context, issuer string, delta bool, store Store, now time.Time) (int, error) {
	there, err := f.read(listName(issuer, delta), issuer)
	if err != nil || there == nil {
		return 0, err
	}
	// Either kind may be the one that stands: they share their numbers.
	for _, kind := range []bool{false, true} {
		known, ok, err := store.Latest(ctx, issuer, kind, there.number)
		if err != nil || ok && known.Number >= there.number {
			return 0, err
		}
	}
	b := batcher{store: store, now: now}
	end := f.Signers[issuer].NotAfter // the list does not tell when certificates end
	for r, err := range there.Revoked() {
		if err != nil {
			return b.recovered, err
		}
		if err := b.add(ctx, Record{Issuer: issuer, Serial: r.Serial, NotAfter: end, Revoked: r.At, Reason: r.Reason}); err != nil {
			return b.recovered, err
		}
	}
	// The number last: while it is missing, all of this is done again.
	err = b.add(ctx, Record{Issuer: issuer, Number: there.number})
	if err == nil {
		err = b.flush(ctx)
	}
	return b.recovered, err
}

// batcher replays records in handfuls.
type batcher struct {
	store     Store
	now       time.Time
	held      []Record
	recovered int
}

// replayBatch is how many records are replayed at once.
const replayBatch = 1000

func (b *batcher) add(ctx context.Context, r Record) error {
	b.held = append(b.held, r)
	if len(b.held) < replayBatch {
		return nil
	}
	return b.flush(ctx)
}

func (b *batcher) flush(ctx context.Context) error {
	if len(b.held) == 0 {
		return nil
	}
	n, err := b.store.Replay(ctx, b.held, b.now)
	b.recovered += n
	b.held = b.held[:0]
	return err
}
