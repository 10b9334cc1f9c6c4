package client

// OnStep has do called at the beginning of each step of a backup.
func (o *Options) OnStep(do func(step string)) { o.step = do }
