package signin

// SessionOver is a session that ended.
type SessionOver struct {
	Data []byte // of one that timed out; nil when it was ended before
	Idle bool   // it timed out because nothing happened
	Lost bool   // it was ended because a device of its person was reported lost
}
