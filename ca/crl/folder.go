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

// Folder is a target: a folder that a web server or a file share serves. Its files are
// root.crl, issuing.crl and issuing-delta.crl. They are replaced atomically, and never by
// a list with a lower number.
type Folder struct {
	Path string

	// Signers gives the CA certificates by issuer name; there may be more later. A file that
	// none of them signed is replaced, and ignored by Recover.
	Signers func() map[string]*x509.Certificate
}

// Name gives the path of the folder.
func (f *Folder) Name() string { return f.Path }

// extension is the suffix of the files, as in the CRL addresses.
const extension = ".crl"

// abandonedAfter is the age at which a temporary file is deleted as the leftover of a
// killed process.
const abandonedAfter = time.Hour

// errBusyFolder means that another portal holds the lock of the folder.
var errBusyFolder = errors.New("another portal is writing into it")

// Takes reports true: a folder has a file for each issuer.
func (f *Folder) Takes(string) bool { return true }

// Put writes a list to a temporary file, syncs it and renames it, so that readers find a
// whole list at any moment. A list with the same or a higher number stays.
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
	// The web server, which runs as another user, must be able to read the file.
	if err := durable.Replace(filepath.Join(f.Path, name+extension), l.DER, 0o644); err != nil {
		return 0, fmt.Errorf("writing list %d: %w", l.Number, err)
	}
	return l.Number, nil
}

// lockFolder waits for the lock of the folder: between reading the present list and
// replacing it, no other portal may write a later one. On a file share without locks the
// portal with the newer list writes it again a second later.
func lockFolder(ctx context.Context, folder *os.File) error {
	ctx, cancel := context.WithTimeout(ctx, defaultPatience)
	defer cancel()
	for errors.Is(durable.Lock(folder), durable.ErrLocked) {
		select {
		case <-ctx.Done():
			return errBusyFolder
		case <-time.After(defaultPatience / 100):
		}
	}
	return nil
}

// listFile is a list read from a folder.
type listFile struct {
	*ca.PublishedCRL
	number int64
}

// maxFile bounds the size of a file in bytes: a list of ten million entries.
const maxFile = 512 << 20

// read reads a list from the folder; nil when there is no file, or none that the signer
// of the issuer signed.
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
	signer := f.Signers()[issuer]
	if signer == nil {
		return nil, fmt.Errorf("reading list: there is no certificate of %q to verify it", issuer)
	}
	crl, err := ca.ReadCRL(raw, signer)
	if err != nil || !crl.Number.Big().IsInt64() {
		return nil, nil
	}
	return &listFile{crl, crl.Number.Big().Int64()}, nil
}

// Recover replays the lists in the folder into the store. A list that is newer than the
// store's means that the store was restored from an older backup: then all entries of the
// list are replayed. Before the first of them restored is called, which may be nil: its
// error ends the recovery, and the next one begins there again. It returns the number of
// recovered certificates.
func (f *Folder) Recover(ctx context.Context, store Store, restored func(context.Context) error, now time.Time) (int, error) {
	recovered, ended := 0, restored == nil
	noteOlder := func() (err error) {
		if !ended {
			err = restored(ctx)
			ended = err == nil
		}
		return err
	}
	for issuer := range f.Signers() {
		for _, delta := range []bool{false, true} {
			n, err := f.recover(ctx, issuer, delta, store, noteOlder, now)
			recovered += n
			if err != nil {
				return recovered, fmt.Errorf("recovering revocations from %s: %w", filepath.Join(f.Path, listName(issuer, delta)+extension), err)
			}
		}
	}
	return recovered, nil
}

func (f *Folder) recover(ctx context.Context, issuer string, delta bool, store Store, noteOlder func() error, now time.Time) (int, error) {
	there, err := f.read(listName(issuer, delta), issuer)
	if err != nil || there == nil {
		return 0, err
	}
	// The store may have the number as a complete or as a delta list: they share numbers.
	for _, kind := range []bool{false, true} {
		known, ok, err := store.Latest(ctx, issuer, kind, there.number)
		if err != nil || ok && known.Number >= there.number {
			return 0, err
		}
	}
	if err := noteOlder(); err != nil {
		return 0, err
	}
	b := batcher{store: store, now: now}
	end := f.Signers()[issuer].NotAfter // a CRL does not say when certificates expire
	for r, err := range there.Revoked() {
		if err != nil {
			return b.recovered, err
		}
		if err := b.add(ctx, Record{Issuer: issuer, Serial: r.Serial, NotAfter: end, Revoked: r.At, Reason: r.Reason}); err != nil {
			return b.recovered, err
		}
	}
	// The number last: until it is stored, the next start repeats all of this.
	err = b.add(ctx, Record{Issuer: issuer, Number: there.number})
	if err == nil {
		err = b.flush(ctx)
	}
	return b.recovered, err
}

// batcher replays records in batches.
type batcher struct {
	store     Store
	now       time.Time
	held      []Record
	recovered int
}

// replayBatch is the number of records in a batch.
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
