package notify

import (
	"context"
	"fmt"
	"time"
)

const day = 24 * time.Hour

// remindersAtOnce bounds one transaction of the sweep.
const reminderBatch = 200

// reminderDays are the days before the end on which people are told, nearest
// first.
func reminderDays() []int { return []int{1, 7, 14, 30} }

// Remind writes the letters about certificates that end within 30, 14, 7 and 1
// days, once each. After a long rest only the nearest is written. A certificate
// that was made for less than twice those days is not old when they begin: it
// gets no letter the day after it was issued.
func (o *Notifier) Remind(ctx context.Context) error {
	now := o.c.Now()
	after := now
	for _, days := range reminderDays() {
		until := now.Add(time.Duration(days) * day)
		for {
			more, err := o.remind(ctx, days, after, until)
			if err != nil {
				return err
			}
			if !more {
				break
			}
		}
		after = until
	}
	return nil
}

// remind writes a batch and reports whether there is another one. Each takes its
// key even where nobody can be written to, so that the next batch is another.
func (o *Notifier) remind(ctx context.Context, days int, after, until time.Time) (more bool, err error) {
	if full, err := o.queueFull(ctx); err != nil || full {
		return false, err
	}
	key := fmt.Sprintf("ends:%d:", days)
	life := 2 * time.Duration(days) * day
	found, err := o.c.Store.ExpiringCertificates(ctx, key, after, until, life, reminderBatch)
	if err != nil || len(found) == 0 {
		return false, o.storeResult(ctx, err)
	}
	letters := make([]Message, len(found))
	for i, r := range found {
		l := o.newMessage(Ending, key+r.Serial)
		l.Person, l.Language = r.Person, o.languageOr(r.Language)
		l.Params = Params{
			Device: r.Device, Devices: []string{r.DeviceName}, At: l.Made, Until: r.NotAfter,
			Days: daysUntil(r.NotAfter.Sub(l.Made)),
		}
		letters[i] = l
	}
	letters, err = o.fillAddresses(ctx, letters)
	if err != nil {
		return false, err
	}
	err = o.c.Store.Enqueue(ctx, letters)
	return len(found) == reminderBatch, o.storeResult(ctx, err)
}

// daysLeft counts days begun.
func daysUntil(left time.Duration) int { return int((left + day - 1) / day) }
