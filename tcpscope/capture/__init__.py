"""Captures as files: where the bytes come from, how they are compressed, and how pcap, pcapng and snoop frame packets.

What a packet means is not known here.
"""
