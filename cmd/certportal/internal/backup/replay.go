package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"certportal/ca/crl"
	"certportal/store"
)

// checkNewer refuses a journal that cannot be used, before anything is filled.
func (r *restore) checkNewer() error {
	switch {
	case r.Newer == "":
		return nil
	case r.inUse():
		return fmt.Errorf("there is a journal at %s, which counts: leave --journal away, or move that one away", r.Journal)
	}
	f, err := os.Open(r.Newer)
	if err != nil {
		return fmt.Errorf("opening the journal of --journal: %w", err)
	}
	return f.Close()
}

// inUse reports a journal at its place.
func (r *restore) inUse() bool {
	info, err := os.Stat(r.Journal)
	return err == nil && info.Size() > 0
}

// replay brings back what the journals record and the database lacks: first that of the
// backup, which was read after the database, then one that outlived it.
func (r *restore) replay(ctx context.Context, db *store.DB, o *Outcome) error {
	own := filepath.Join(r.place.stage, journalName)
	o.Given = r.inUse() || r.Newer != ""
	if !o.Given {
		return r.recall(ctx, db, own, inBackup, o)
	}
	if err := r.recall(ctx, db, own, inBackup, o); err != nil && ctx.Err() == nil {
		r.Log.Warn("the journal in the backup brings nothing back", "err", err)
	}
	path, name, known := r.Journal, r.Journal, max(o.Number, o.Since.Last)
	if r.Newer != "" {
		path, name = own, r.Newer
		if err := replaceBy(own, r.Newer); err != nil {
			return err
		}
	}
	err := r.recall(ctx, db, path, name, o)
	o.Newer = o.Since.Last > known
	return err
}

// inBackup names the journal of the backup.
const inBackup = "in the backup"

// recall replays one journal, by the name that the operator knows.
func (r *restore) recall(ctx context.Context, db *store.DB, path, name string, o *Outcome) error {
	j, err := crl.OpenJournal(crl.JournalConfig{Path: path, Name: name, NoLink: true, Store: db, Now: r.Now, Log: r.Log})
	if err != nil {
		return err
	}
	err = o.recall(ctx, j)
	return errors.Join(err, j.Close())
}

func (o *Outcome) recall(ctx context.Context, j *crl.Journal) error {
	since, err := j.Since(ctx, o.Number)
	if err != nil {
		return err
	}
	if since.Foreign {
		return errors.New("the journal of revocations is of another portal, or was begun anew: its lines and the audit log in the backup have nothing in common")
	}
	recalled, err := j.Recover(ctx)
	if o.Recalled += recalled; err != nil {
		return err
	}
	if since.Last >= o.Since.Last {
		o.Since = since
	}
	return j.Follow(ctx) // so that the next start finds it in step with the database
}
