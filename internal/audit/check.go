package audit

import "fmt"

// Fault names how a chain is broken. The names are part of what commands print
// for programs.
type Fault string

// The faults that are told apart.
const (
	Altered           Fault = "altered"        // the entry is not what its hash covers
	Rewritten         Fault = "rewritten"      // the next entry knows another hash of it
	Missing           Fault = "missing"        // a number without an entry, later ones are there
	CutOff            Fault = "cut-off"        // entries were there, and the end is earlier
	HeadDiffers       Fault = "head-differs"   // the recorded end is not the last entry
	CheckpointDiffers Fault = "seal-differs"   // what was sealed is not what is there
	CheckpointForged  Fault = "seal-forged"    // a seal that no key of the CA made
	KnownDiffers      Fault = "known-differs"  // not the hash somebody kept elsewhere
	RecordDiffers     Fault = "record-differs" // a certificate is not what the ledger tells of it
)

// Break is where a chain stops being one. It is an error, so that reading may end
// with it.
type Break struct {
	// Seq is the first entry that is not as it was written. Where a whole stretch
	// was rewritten with fitting hashes, it is the first that can be meant.
	Seq   int64
	Fault Fault

	// Until is the last entry that can be meant, where that is not Seq; else 0.
	Until int64

	// Object is the certificate's serial with RecordDiffers.
	Object string
}

// Error says it in words.
func (b *Break) Error() string {
	switch b.Fault {
	case Altered:
		return fmt.Sprintf("entry %d was altered: it does not have the hash it was written with", b.Seq)
	case Rewritten:
		return fmt.Sprintf("entry %d was rewritten: the next one was linked to another", b.Seq)
	case Missing:
		return fmt.Sprintf("entry %d is missing", b.Seq)
	case CutOff:
		return fmt.Sprintf("the ledger was cut off before entry %d: later ones were there", b.Seq)
	case HeadDiffers:
		return fmt.Sprintf("entry %d is the last one, and the recorded end is another", b.Seq)
	case CheckpointDiffers:
		return fmt.Sprintf("something in the entries %d to %d was rewritten after it was sealed", b.Seq, max(b.Seq, b.Until))
	case CheckpointForged:
		return fmt.Sprintf("the seal of entry %d was made by no key of this CA", b.Seq)
	case KnownDiffers:
		return fmt.Sprintf("something in the entries up to %d was rewritten: its hash is not the one that was kept elsewhere", b.Until)
	case RecordDiffers:
		return fmt.Sprintf("certificate %s is not what the ledger tells of it (entry %d)", b.Object, b.Seq)
	}
	return fmt.Sprintf("entry %d: %s", b.Seq, b.Fault)
}

// Checker follows a chain entry by entry. The zero Checker begins before the
// first; Head is where it stands.
type Checker struct{ Head Head }

// Next takes the next entry, in the order of their numbers, and gives the break
// when it does not follow. After a break the Checker stays where it was.
func (c *Checker) Next(e Entry) *Break {
	intact := e.Hash == e.Sum()
	switch {
	case e.Seq > c.Head.Seq+1:
		return &Break{Seq: c.Head.Seq + 1, Fault: Missing}
	case e.Seq <= c.Head.Seq || !intact:
		return &Break{Seq: e.Seq, Fault: Altered}
	case e.Prev != c.Head.Hash && c.Head.Seq == 0:
		return &Break{Seq: e.Seq, Fault: Altered} // there is nothing before the first
	case e.Prev != c.Head.Hash:
		// Its hash covers the link, so it is the one before that changed.
		return &Break{Seq: c.Head.Seq, Fault: Rewritten}
	}
	c.Head = e.Head()
	return nil
}
