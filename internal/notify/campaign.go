package notify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"certportal/internal/portal"
)

// DefaultRecallsPerHour is the default of Config.RecallsPerHour.
const DefaultRecallsPerHour = 200

// waveEvery is the time between two waves of a campaign, and waves their number in an hour.
const (
	waveEvery = 5 * time.Minute
	waves     = int(time.Hour / waveEvery)
)

// Wave is the next part of the people whose certificates a revoked CA issued.
type Wave struct {
	Authority string
	From, To  portal.PersonID // those after From, up to To, are asked
	Devices   []RecalledDevice
}

// RecalledDevice is a device whose certificate must be replaced. Those of a person follow
// one another.
type RecalledDevice struct {
	Person   portal.PersonID
	Language string // as in Event
	Device   portal.DeviceID
	Name     string
}

// wave gives how many people are asked at once, and when the next may be.
func (n *Notifier) wave() (people int, pause time.Duration) {
	perHour := n.c.RecallsPerHour
	if perHour < waves {
		return 1, time.Hour / time.Duration(perHour)
	}
	return perHour / waves, waveEvery
}

// Recall writes the next wave of each campaign that is due: one message to each person, with
// all devices whose certificates must be replaced. Nobody is asked before another CA
// issues, or while issuing is stopped. Of replicas one writes each wave.
func (n *Notifier) Recall(ctx context.Context) error {
	if !n.c.Issues() {
		return nil
	}
	people, pause := n.wave()
	due, err := n.c.Store.RecallWaves(ctx, n.c.Now(), people)
	if err != nil {
		return n.storeResult(ctx, err)
	}
	for _, w := range due {
		if full, err := n.queueFull(ctx); err != nil || full {
			return err
		}
		msgs, err := n.fillAddresses(ctx, n.recallMessages(w))
		if err != nil {
			return err
		}
		err = n.c.Store.EnqueueWave(ctx, w, n.withAddress(msgs), n.c.Now().Add(pause))
		if err != nil && !errors.Is(err, portal.ErrConflict) { // another replica was faster
			return n.storeResult(ctx, err)
		}
	}
	return n.storeResult(ctx, nil)
}

// recallMessages makes one message for each person of a wave.
func (n *Notifier) recallMessages(w Wave) []Message {
	var msgs []Message
	for i, d := range w.Devices {
		if i == 0 || d.Person != w.Devices[i-1].Person {
			m := n.newMessage(Recalled, fmt.Sprintf("recalled:%s:%s", w.Authority, d.Person))
			m.Person, m.Language, m.Params = d.Person, n.languageOr(d.Language), Params{Device: d.Device, At: m.Made}
			msgs = append(msgs, m)
		}
		params := &msgs[len(msgs)-1].Params
		params.Devices = append(params.Devices, d.Name)
		if len(params.Devices) > 1 {
			params.Device = "" // several devices: link to the list
		}
	}
	return msgs
}
