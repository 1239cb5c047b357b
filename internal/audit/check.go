package audit

import "fmt"

// Fault names how a chain is broken. The values are part of the output of commands:
// add, do not rename.
type Fault string

// The faults.
const (
	Altered           Fault = "altered"        // the entry does not match its hash
	Rewritten         Fault = "rewritten"      // the next entry has another Prev
	Missing           Fault = "missing"        // a sequence number without entry, followed by others
	CutOff            Fault = "cut-off"        // entries at the end were removed
	HeadDiffers       Fault = "head-differs"   // the recorded head is not the last entry
	CheckpointDiffers Fault = "seal-differs"   // the entries do not match a checkpoint
	CheckpointForged  Fault = "seal-forged"    // a checkpoint without valid signature of the CA's key
	KnownDiffers      Fault = "known-differs"  // not the hash that was kept elsewhere
	RecordDiffers     Fault = "record-differs" // a certificate does not match its audit entries
)

// Break is where a chain is broken. It is an error, so that reading can end with it.
type Break struct {
	// Seq is the first entry that may be altered. When a range was rewritten with valid
	// hashes, it is the start of the range.
	Seq   int64
	Fault Fault

	// Until is the end of the range, if it is not Seq; else 0.
	Until int64

	// Object is the serial of the certificate, with RecordDiffers.
	Object string
}

// Error describes the break, for operators.
func (b *Break) Error() string {
	switch b.Fault {
	case Altered:
		return fmt.Sprintf("entry %d was altered: it does not have the hash it was written with", b.Seq)
	case Rewritten:
		return fmt.Sprintf("entry %d was rewritten: the next one was linked to another", b.Seq)
	case Missing:
		return fmt.Sprintf("entry %d is missing", b.Seq)
	case CutOff:
		return fmt.Sprintf("the audit log was cut off before entry %d: later ones were there", b.Seq)
	case HeadDiffers:
		return fmt.Sprintf("entry %d is the last one, and the recorded end is another", b.Seq)
	case CheckpointDiffers:
		return fmt.Sprintf("something in the entries %d to %d was rewritten after their checkpoint", b.Seq, max(b.Seq, b.Until))
	case CheckpointForged:
		return fmt.Sprintf("the checkpoint of entry %d was signed by no key of this CA", b.Seq)
	case KnownDiffers:
		return fmt.Sprintf("something in the entries up to %d was rewritten: its hash is not the one that was kept elsewhere", b.Until)
	case RecordDiffers:
		return fmt.Sprintf("certificate %s does not match the audit log (entry %d)", b.Object, b.Seq)
	}
	return fmt.Sprintf("entry %d: %s", b.Seq, b.Fault)
}

// Checker verifies a chain entry by entry. The zero Checker starts before the first
// entry; Head is the last verified one.
type Checker struct{ Head Head }

// Next verifies the next entry, in the order of sequence numbers, and returns the break
// if it does not follow. After a break the Checker does not advance.
func (c *Checker) Next(e Entry) *Break {
	intact := e.Hash == e.Sum()
	switch {
	case e.Seq > c.Head.Seq+1:
		return &Break{Seq: c.Head.Seq + 1, Fault: Missing}
	case e.Seq <= c.Head.Seq || !intact:
		return &Break{Seq: e.Seq, Fault: Altered}
	case e.Prev != c.Head.Hash && c.Head.Seq == 0:
		return &Break{Seq: e.Seq, Fault: Altered} // nothing precedes the first entry
	case e.Prev != c.Head.Hash:
		// The hash of this entry covers Prev, so the previous one changed.
		return &Break{Seq: c.Head.Seq, Fault: Rewritten}
	}
	c.Head = e.Head()
	return nil
}
