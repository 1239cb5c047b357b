package crl

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"certportal/ca"
)

const (
	// followEvery is how often the journal polls the audit log for changes by other
	// replicas. Changes by this process wake it at once.
	followEvery = time.Second

	// followBatch is the number of audit entries read at a time.
	followBatch = 1000

	// noteEvery is the minimum time between two records of CRL numbers.
	noteEvery = time.Minute

	// compareEvery is how often the last line is compared with the audit log.
	compareEvery = time.Minute

	// maxRecent bounds the serials in Journal.recent.
	maxRecent = 10_000
)

// Run follows the audit log and writes the journal until the context ends. Errors are
// logged and retried; they stop nothing else in the portal.
func (j *Journal) Run(ctx context.Context) {
	var verifying sync.WaitGroup
	defer verifying.Wait()
	size := j.size
	verifying.Go(func() { j.reportDamage(j.verify(size)) })
	for {
		err := j.Follow(ctx)
		if ctx.Err() != nil {
			return
		}
		j.reportError(err)
		select {
		case <-ctx.Done():
			return
		case <-j.nudge:
		case <-time.After(followEvery):
		}
	}
}

// errRestored means that the store was restored while the portal ran.
var errRestored = errors.New("the records do not know the last entry of the journal: they were restored while the portal ran; restart it, " +
	"so that what was revoked since is brought back")

// Follow writes all records that the audit log has up to now.
func (j *Journal) Follow(ctx context.Context) error {
	if err := j.compare(ctx); err != nil {
		return err
	}
	for {
		records, through, err := j.c.Store.Records(ctx, j.at, followBatch)
		if err != nil {
			return err
		}
		if err := j.write(j.unwritten(records)); err != nil {
			return err
		}
		whole := through >= j.at+followBatch
		j.at = through
		if !whole {
			return j.noteNumbers()
		}
	}
}

// compare checks once a minute that the audit log still has the entry of the last line.
func (j *Journal) compare(ctx context.Context) error {
	now := j.c.Now()
	if age := now.Sub(j.checked); j.last.Hash == "" || age >= 0 && age < compareEvery {
		return nil
	}
	known, err := j.c.Store.HasEntry(ctx, j.last.Seq, j.last.Hash)
	if err == nil && !known {
		err = errors.Join(errRestored, j.noteOlder(ctx))
	}
	if err == nil {
		j.checked, j.older = now, false
	}
	return err
}

// unwritten leaves out the record of an issued serial that was recorded when it was
// reserved.
func (j *Journal) unwritten(records []Record) []Record {
	if len(j.recent) > maxRecent {
		j.recent = map[ca.Serial]bool{}
	}
	var fresh []Record
	for _, r := range records {
		if r.Revoked.IsZero() && j.recent[r.Serial] {
			continue
		}
		j.recent[r.Serial] = r.Revoked.IsZero()
		fresh = append(fresh, r)
	}
	return fresh
}

// noteNumbers writes the numbers of new lists.
func (j *Journal) noteNumbers() error {
	now := j.c.Now()
	if age := now.Sub(j.noted); j.c.Lists == nil || age >= 0 && age < noteEvery {
		return nil
	}
	var records []Record
	for _, l := range j.c.Lists() {
		if l.Number > j.numbers[l.Issuer] {
			j.numbers[l.Issuer] = l.Number
			// With the last audit entry, so that any last line can be compared.
			records = append(records, Record{Seq: j.last.Seq, Hash: j.last.Hash, Issuer: l.Issuer, Number: l.Number})
		}
	}
	if len(records) > 0 {
		j.noted = now
	}
	return j.write(records)
}

// write appends lines and syncs the file. After an error it truncates what it wrote.
func (j *Journal) write(records []Record) error {
	if len(records) == 0 {
		return nil
	}
	var text []byte
	for _, r := range records {
		one, err := json.Marshal(lineOf(r))
		if err != nil {
			return err
		}
		text = append(append(text, one...), '\n')
	}
	_, err := j.file.WriteAt(text, j.size)
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		j.recent = map[ca.Serial]bool{}
		return errors.Join(err, j.file.Truncate(j.size))
	}
	j.size += int64(len(text))
	j.last = lineOf(records[len(records)-1])
	return nil
}

// reportDamage logs damage in the middle of the file. The journal is still written: new
// lines at its end remain useful.
func (j *Journal) reportDamage(err error) {
	if err == nil {
		return
	}
	j.c.Log.Error("reading the journal of revocations: what the damaged line recorded is lost when a backup is restored", "err", err)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.damage = err
	if j.since.IsZero() {
		j.since = j.c.Now()
	}
}

// reportError keeps an error for Trouble, and logs it once.
func (j *Journal) reportError(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case err == nil && j.trouble != "":
		j.c.Log.Info("the journal of revocations is written again", "journal", j.c.Path)
		j.trouble, j.since = "", time.Time{}
	case err != nil && withoutDigits(err.Error()) != withoutDigits(j.trouble):
		j.c.Log.Error("writing the journal of revocations: a restored backup would forget what is missing in it", "journal", j.c.Path, "err", err)
		j.trouble, j.since = err.Error(), j.c.Now()
	}
}
