package admin

import "time"

// Campaign is the renewal of the certificates of a revoked CA.
type Campaign struct {
	Authority string
	Began     time.Time
	Ended     time.Time // zero while it runs
	Devices   int       // at the beginning
	Left      int       // of these, which have no new certificate and were not blocked or removed
	Mailed    int       // people who were asked to renew
	ToGo      int       // people who are not asked yet
}

// campaignShown is how long the overview shows a campaign that ended.
const campaignShown = 30 * 24 * time.Hour
