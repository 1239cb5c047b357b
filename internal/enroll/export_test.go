package enroll

// Hold keeps keys from being made until release is called: who needs one waits.
func (p *KeyPool) Hold() (release func()) {
	for range cap(p.slots) {
		p.slots <- struct{}{}
	}
	return func() {
		for range cap(p.slots) {
			<-p.slots
		}
	}
}

// RefusalPause is how long the next request of a person waits after a refusal.
const RefusalPause = refusalPause
