"""Claims jobs from the queues, renews their leases, and receives commands for this worker."""
