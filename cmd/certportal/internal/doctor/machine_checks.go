package doctor

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"certportal/internal/portal"
)

// machineChecks look at the machine: disk, files, clock, and what is left of a demo.
func (d *Doctor) machineChecks() []check {
	return []check{
		{name: "disk", run: d.checkDisk},
		{name: "files", run: d.checkFiles},
		{name: "backups", run: d.checkBackups},
		{name: "time", needs: []part{tried}, sections: []string{"pages"}, run: d.checkTime},
		{name: "demo", needs: []part{tried}, run: d.checkDemo},
	}
}

// Space is what a file system has for the portal, in bytes.
type Space struct{ Free, Total uint64 }

// The disk check warns, or fails, when less than both are free. A large disk is not full
// while gigabytes are free, a small one not while a large part is.
const (
	lowPercent, lowBytes   = 10, 10 << 30
	fullPercent, fullBytes = 3, 2 << 30
)

// checkDisk looks at the space of the folders that the portal writes to.
func (d *Doctor) checkDisk(context.Context) []portal.Finding {
	var list []portal.Finding
	folders := append([]string{d.c.Settings.Data, filepath.Dir(d.c.Settings.JournalFile())}, d.c.Settings.Revocation.Folders...)
	slices.Sort(folders)
	for _, folder := range slices.Compact(folders) {
		if folder == d.c.Settings.Data || exists(folder) { // another one that is gone is reported with what uses it
			list = append(list, d.checkSpace(folder))
		}
	}
	return list
}

func (d *Doctor) checkSpace(folder string) portal.Finding {
	look := spaceOf
	if d.c.Space != nil {
		look = d.c.Space
	}
	s, err := look(folder)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return portal.NewFinding(folder, portal.FindingSkipped, portal.Say("disk-unknown", "this system does not say how much space is free"))
	case err != nil:
		return portal.Finding{What: folder, State: portal.FindingFailed, Text: err.Error()}
	case s.Total == 0:
		return portal.NewFinding(folder, portal.FindingOK, portal.Say("disk-endless", "the file system has no limit"))
	}
	percent := int(100 * float64(s.Free) / float64(s.Total))
	free := megabytes(s.Free)
	switch {
	case percent < fullPercent && s.Free < fullBytes:
		return portal.NewFinding(folder, portal.FindingFailed, portal.Say("disk-full", "%d percent of the disk are free, %s: soon nothing can be issued or blocked", percent, free))
	case percent < lowPercent && s.Free < lowBytes:
		return portal.NewFinding(folder, portal.FindingWarning, portal.Say("disk-low", "%d percent of the disk are free, %s: keep 10 percent or 10 GB free", percent, free))
	}
	return portal.NewFinding(folder, portal.FindingOK, portal.Say("disk", "%d percent of the disk are free, %s", percent, free))
}

func megabytes(n uint64) string {
	if n >= 10<<30 {
		return fmt.Sprintf("%d GB", n>>30)
	}
	return fmt.Sprintf("%d MB", n>>20)
}

// oldClock is how far the clock may be before the newest thing that the portal signed.
const oldClock = 10 * time.Minute

// checkTime looks at the time zone of pages and mail, whether the clock is that of the database,
// and whether it went back.
func (d *Doctor) checkTime(ctx context.Context) []portal.Finding {
	now := d.c.Now()
	list := []portal.Finding{d.checkZone(now)}
	if d.c.DB != nil {
		list = append(list, clocks{d}.check(ctx)...)
	}
	if d.c.Lists == nil {
		return list
	}
	for _, h := range d.c.Lists.Health() {
		if ahead := h.List.ThisUpdate.Sub(now); ahead > oldClock {
			return append(list, portal.NewFinding("clock", portal.FindingFailed,
				portal.Say("clock-back", "this machine's clock says %s, and a revocation list was made %s later: set the clock by an NTP source", clockOf(now), ahead.Round(time.Minute))))
		}
	}
	return list
}

func (d *Doctor) checkZone(now time.Time) portal.Finding {
	const what = "pages.time_zone"
	name := d.c.Settings.Pages.TimeZone
	if name == "" {
		return portal.NewFinding(what, portal.FindingOK, portal.Say("zone-machine", "that of this machine; there it is %s", clockOf(now.In(d.c.Settings.Location()))))
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return portal.NewFinding(what, portal.FindingFailed, portal.Say("zone-unknown", "this machine does not know the time zone %s: %v", name, err))
	}
	return portal.NewFinding(what, portal.FindingOK, portal.Say("zone", "%s; there it is %s", name, clockOf(now.In(zone))))
}
